// Writes build.json beside the built page: a hash of the sources it was made from, and one of every
// file that was made. Whoever changes one without the other is found out without building again.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const web = join(dirname(fileURLToPath(import.meta.url)), "..");
const made = join(web, "..", "src", "nanovl", "serve", "ui");
const SOURCES = ["index.html", "package-lock.json", "package.json", "public", "scripts", "src", "tsconfig.json", "vite.config.ts"];

const files = (path) =>
  statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(join(path, name))) : [path];
const digest = (data) => createHash("sha256").update(data).digest("hex");
const named = (root, path) => relative(root, path).split(sep).join("/");

// Each line is "path hash"; sorted by code points, so that any language can do it again.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const lines = SOURCES.flatMap((name) => files(join(web, name)))
  .map((path) => `${named(web, path)} ${digest(readFileSync(path))}\n`)
  .sort(compare);
const outputs = files(made)
  .filter((path) => named(made, path) !== "build.json")
  .map((path) => [named(made, path), digest(readFileSync(path))])
  .sort(([a], [b]) => compare(a, b));
const stamp = { sources: digest(lines.join("")), files: Object.fromEntries(outputs) };
writeFileSync(join(made, "build.json"), `${JSON.stringify(stamp, null, 1)}\n`);
