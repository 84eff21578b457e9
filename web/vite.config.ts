// How the page is built: relative paths, so that any prefix of a proxy works; nothing inlined into
// the document, so that the server's content policy needs no exception; fonts of formulas in one
// format, and only the families that formulas need; text set in others takes the system's.
import { defineConfig, loadEnv, type Plugin } from "vite";

const SERVER = loadEnv("development", ".", "NANOVL_")["NANOVL_URL"] ?? "http://127.0.0.1:8000";
const FONTS = /KaTeX_(?:(?:AMS|Caligraphic|Main|Size\d|Script)-Regular|Main-Bold|Math-Italic)\.woff2/;

function formulaFonts(): Plugin {
  return {
    name: "formula-fonts",
    enforce: "pre",
    transform(code, id) {
      if (!id.includes("katex") || !id.endsWith(".css")) return null;
      const faces = code.replace(/@font-face\s*{[^}]*}/g, (face) => {
        const file = /fonts\/(KaTeX_[\w-]+\.woff2)/.exec(face)?.[1];
        if (!file || !FONTS.test(file)) return "";
        return face.replace(/src:[^;}]*/, `src:url(fonts/${file}) format("woff2")`);
      });
      return { code: faces, map: null };
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [formulaFonts()],
  // Where `npm run dev` finds a server to talk to.
  server: {
    proxy: Object.fromEntries(
      ["/v1", "/tokenize"].map((path) => [path, SERVER]),
    ),
  },
  build: {
    outDir: "../src/nanovl/serve/ui",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
