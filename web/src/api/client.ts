// Calls to the server. One object holds base address and key; every failure is an `ApiFailure`.
// Makes no decisions about what is asked.
import { ApiFailure, failureOf, isObject } from "./errors.ts";
import { readEvents } from "./sse.ts";
import type {
  AnswerPiece,
  MediaFacts,
  MediaRow,
  ModelInfo,
  Progress,
  Timings,
  TokenCount,
  Usage,
} from "./types.ts";

export class Client {
  constructor(
    private readonly base: string,
    private readonly key: () => string,
  ) {}

  async models(): Promise<ModelInfo[]> {
    const body = await this.json("v1/models", { method: "GET" });
    const data = isObject(body) && Array.isArray(body["data"]) ? body["data"] : [];
    return data.filter(isObject).map(modelInfo);
  }

  async tokenize(body: object, signal: AbortSignal): Promise<TokenCount> {
    const answer = await this.json("tokenize", post(body, signal));
    const found = isObject(answer) ? answer : {};
    return {
      count: Number(found["count"] ?? 0),
      max_model_len: Number(found["max_model_len"] ?? 0),
      nanovl_media: rowsOf(found["nanovl_media"]),
    };
  }

  /** Ask a running answer to stop thinking; false if it was not thinking. */
  async answerNow(id: string): Promise<boolean> {
    const body = await this.json(
      "v1/chat/completions/control",
      post({ id, action: "reasoning_end" }),
    );
    return isObject(body) && body["success"] === true;
  }

  /** Store a file on the server; gives its id. */
  async upload(file: Blob, name: string, signal: AbortSignal): Promise<string> {
    const form = new FormData();
    form.append("purpose", "user_data");
    form.append("file", file, name);
    const body = await this.json("v1/files", { method: "POST", body: form, signal });
    const id = isObject(body) ? body["id"] : null;
    if (typeof id !== "string") throw new ApiFailure("The server took the file without an id.");
    return id;
  }

  /** A streamed answer, piece by piece. */
  async *chat(body: object, signal: AbortSignal): AsyncGenerator<AnswerPiece> {
    const response = await this.fetch("v1/chat/completions", post(body, signal));
    if (!response.body) throw new ApiFailure("The server sent no answer.");
    const reader = new ChunkReader();
    for await (const item of readEvents(response.body)) {
      if (item.kind === "comment") {
        const progress = progressOf(item.text);
        if (progress) yield { kind: "progress", progress };
        continue;
      }
      if (item.data === "[DONE]") return;
      yield* reader.read(parsed(item.data));
    }
    throw new ApiFailure("The connection ended before the answer was complete.");
  }

  private async json(path: string, init: RequestInit): Promise<unknown> {
    const response = await this.fetch(path, init);
    try {
      return (await response.json()) as unknown;
    } catch {
      throw new ApiFailure(`The answer of ${path} is no JSON; is this a nanovl server?`);
    }
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const key = this.key();
    if (key) headers.set("Authorization", `Bearer ${key}`);
    let response: Response;
    try {
      response = await fetch(new URL(path, this.base), { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiFailure("No answer came. Is the server still running?");
    }
    if (response.ok) return response;
    const body: unknown = await response.json().catch(() => null);
    throw failureOf(body, response.status, response.headers.get("retry-after"));
  }
}

/** Chunks of one stream to pieces. */
export class ChunkReader {
  private begun = false;

  *read(chunk: unknown): Generator<AnswerPiece> {
    if (!isObject(chunk)) return;
    if (isObject(chunk["error"])) throw failureOf(chunk, 500, null);
    if (!this.begun && typeof chunk["id"] === "string") {
      this.begun = true;
      yield { kind: "begin", id: chunk["id"] };
    }
    const usage = isObject(chunk["usage"]) ? (chunk["usage"] as unknown as Usage) : null;
    const choices = Array.isArray(chunk["choices"]) ? chunk["choices"] : [];
    const choice: unknown = choices[0];
    if (isObject(choice)) yield* this.choice(choice);
    if (usage && choices.length) {
      yield { kind: "count", completionTokens: usage.completion_tokens };
    } else if (usage) {
      const timings = chunk["nanovl_timings"];
      yield {
        kind: "usage",
        usage,
        timings: isObject(timings) ? (timings as Timings) : null,
        media: rowsOf(chunk["nanovl_media"]),
      };
    }
  }

  private *choice(choice: Record<string, unknown>): Generator<AnswerPiece> {
    const delta = isObject(choice["delta"]) ? choice["delta"] : {};
    const reasoning = delta["reasoning"] ?? delta["reasoning_content"];
    if (typeof reasoning === "string" && reasoning) yield { kind: "reasoning", text: reasoning };
    const content = delta["content"];
    if (typeof content === "string" && content) yield { kind: "text", text: content };
    const reason = choice["finish_reason"];
    if (typeof reason === "string") {
      const detail = choice["stop_reason"];
      yield { kind: "finish", reason, detail: typeof detail === "string" ? detail : "" };
    }
  }
}

function post(body: object, signal?: AbortSignal): RequestInit {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  };
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch {
    throw new ApiFailure("The server sent an event that is no JSON.");
  }
}

export function progressOf(comment: string): Progress | null {
  if (!comment.startsWith("progress ")) return null;
  try {
    const value = JSON.parse(comment.slice(9)) as unknown;
    if (!isObject(value) || typeof value["stage"] !== "string") return null;
    const total = value["total"];
    return {
      stage: value["stage"],
      done: Number(value["done"] ?? 0),
      total: typeof total === "number" && total > 0 ? total : null,
      unit: typeof value["unit"] === "string" ? value["unit"] : "",
    };
  } catch {
    return null;
  }
}

function rowsOf(value: unknown): MediaRow[] {
  return Array.isArray(value) ? (value.filter(isObject) as unknown as MediaRow[]) : [];
}

function modelInfo(entry: Record<string, unknown>): ModelInfo {
  const modalities = entry["input_modalities"];
  return {
    id: String(entry["id"]),
    max_model_len: Number(entry["max_model_len"] ?? 0),
    input_modalities: Array.isArray(modalities) ? modalities.map(String) : ["text", "image"],
    nanovl: isObject(entry["nanovl"]) ? (entry["nanovl"] as unknown as MediaFacts) : null,
  };
}
