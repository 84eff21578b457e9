// Conversations as a file, and back. A file may come from anywhere: every field is checked, and what
// does not fit is left out.
import { isObject } from "../api/errors.ts";
import {
  NO_OPTIONS,
  newId,
  type Answer,
  type Attachment,
  type Conversation,
  type MediaKind,
  type MediaOptions,
  type Turn,
} from "./types.ts";

const FORMAT = "nanovl-conversations";
const VERSION = 1;
const THUMB = /^data:image\/(?:jpeg|png|webp);base64,[A-Za-z0-9+/=]*$/;
const MAX_THUMB = 200_000;
const KINDS: readonly MediaKind[] = ["image", "video", "audio", "pdf"];

export function exported(conversations: readonly Conversation[]): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);
}

/** Conversations of a file. Throws an `Error` with a sentence when it is no such file. */
export function imported(text: string): Conversation[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The file is no JSON.");
  }
  if (!isObject(value) || value["format"] !== FORMAT) {
    throw new Error("The file holds no exported conversations.");
  }
  if (value["version"] !== VERSION) {
    throw new Error(`The file is of version ${String(value["version"])}; this page reads ${VERSION}.`);
  }
  return list(value["conversations"]).map(conversation);
}

/** A stored conversation as this version of the page knows it. */
export function conversation(value: unknown): Conversation {
  const given = isObject(value) ? value : {};
  return {
    id: id(given["id"]),
    title: text(given["title"]).slice(0, 200),
    createdAt: number(given["createdAt"]),
    updatedAt: number(given["updatedAt"]),
    turns: list(given["turns"]).map(turn),
  };
}

function turn(value: unknown): Turn {
  const given = isObject(value) ? value : {};
  const answers = list(given["answers"]).map(answer);
  return {
    id: id(given["id"]),
    text: text(given["text"]),
    attachments: list(given["attachments"]).map(attachment),
    answers,
    shown: Math.min(Math.max(0, Math.trunc(number(given["shown"]))), Math.max(0, answers.length - 1)),
  };
}

function attachment(value: unknown): Attachment {
  const given = isObject(value) ? value : {};
  const thumb = text(given["thumb"]);
  const options = isObject(given["options"]) ? given["options"] : {};
  return {
    id: id(given["id"]),
    kind: KINDS.find((k) => k === given["kind"]) ?? "image",
    name: text(given["name"]).slice(0, 300) || "attachment",
    type: text(given["type"]).slice(0, 100),
    bytes: number(given["bytes"]),
    thumb: thumb.length <= MAX_THUMB && THUMB.test(thumb) ? thumb : "",
    width: number(given["width"]),
    height: number(given["height"]),
    durationS: number(given["durationS"]),
    options: mediaOptions(options),
    fileId: /^file-[\w-]{1,100}$/.test(text(given["fileId"])) ? text(given["fileId"]) : "",
  };
}

function mediaOptions(given: Record<string, unknown>): MediaOptions {
  const setting = (name: keyof MediaOptions): number | null =>
    typeof given[name] === "number" && Number.isFinite(given[name]) ? given[name] : null;
  return {
    ...NO_OPTIONS,
    maxTiles: setting("maxTiles"),
    maxFrames: setting("maxFrames"),
    fps: setting("fps"),
    startS: setting("startS"),
    endS: setting("endS"),
    pruning: setting("pruning"),
    dpi: setting("dpi"),
    pages: text(given["pages"]).slice(0, 200),
  };
}

function answer(value: unknown): Answer {
  const given = isObject(value) ? value : {};
  const maybe = (name: string): number | null =>
    typeof given[name] === "number" && Number.isFinite(given[name]) ? given[name] : null;
  const error = isObject(given["error"]) ? given["error"] : null;
  const status = text(given["status"]);
  return {
    id: id(given["id"]),
    // Nothing is running any more when it is read from a file.
    status: status === "done" || status === "failed" ? status : "stopped",
    text: text(given["text"]),
    reasoning: text(given["reasoning"]),
    budget: maybe("budget"),
    schema: text(given["schema"]).slice(0, 100),
    finish: text(given["finish"]).slice(0, 40),
    detail: text(given["detail"]).slice(0, 200),
    createdAt: number(given["createdAt"]),
    ttftMs: maybe("ttftMs"),
    totalMs: maybe("totalMs"),
    reasoningMs: maybe("reasoningMs"),
    usage: usage(given["usage"]),
    timings: isObject(given["timings"]) ? numbers(given["timings"]) : null,
    media: [],
    error: error && {
      message: text(error["message"]),
      status: number(error["status"]),
      code: text(error["code"]),
      param: text(error["param"]),
    },
  };
}

function usage(value: unknown): Answer["usage"] {
  if (!isObject(value)) return null;
  const prompt = isObject(value["prompt_tokens_details"]) ? value["prompt_tokens_details"] : {};
  const done = isObject(value["completion_tokens_details"]) ? value["completion_tokens_details"] : {};
  return {
    prompt_tokens: number(value["prompt_tokens"]),
    completion_tokens: number(value["completion_tokens"]),
    prompt_tokens_details: { cached_tokens: number(prompt["cached_tokens"]) },
    completion_tokens_details: { reasoning_tokens: number(done["reasoning_tokens"]) },
  };
}

function numbers(given: Record<string, unknown>): Record<string, number> {
  const kept = Object.entries(given).filter((entry): entry is [string, number] => {
    return typeof entry[1] === "number" && Number.isFinite(entry[1]);
  });
  return Object.fromEntries(kept);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function id(value: unknown): string {
  return /^[\w-]{1,64}$/.test(text(value)) ? text(value) : newId();
}
