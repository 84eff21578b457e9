import { describe, expect, it } from "vitest";
import { ChunkReader, progressOf } from "../src/api/client.ts";
import { readEvents, SseParser, type SseItem } from "../src/api/sse.ts";

const STREAM =
  ": keep-alive\n\n: progress {\"stage\":\"prompt\",\"done\":4}\n\nevent: a\ndata: one\ndata: two\n\n" +
  "data:{\"text\":\"gr\u00fc\u00df \u6f22\"}\r\n\r\ndata: last\r\r\ndata\n\nid: 4\nretry: 1\n\ndata: cut";

const EXPECTED: SseItem[] = [
  { kind: "comment", text: "keep-alive" },
  { kind: "comment", text: 'progress {"stage":"prompt","done":4}' },
  { kind: "event", name: "a", data: "one\ntwo" },
  { kind: "event", name: "message", data: '{"text":"gr\u00fc\u00df \u6f22"}' },
  { kind: "event", name: "message", data: "last" },
  { kind: "event", name: "message", data: "" },
];

describe("SseParser", () => {
  it("reads fields, comments and all line endings", () => {
    expect(new SseParser().push(STREAM)).toEqual(EXPECTED);
  });

  it("gives the same items however the text is cut in two", () => {
    for (let cut = 0; cut <= STREAM.length; cut += 1) {
      const parser = new SseParser();
      const items = [...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))];
      expect(items).toEqual(EXPECTED);
    }
  });

  it("gives the same items character by character", () => {
    const parser = new SseParser();
    expect([...STREAM].flatMap((c) => parser.push(c))).toEqual(EXPECTED);
  });

  it("skips a byte order mark at the start only", () => {
    expect(new SseParser().push("\ufeffdata: \ufeffx\n\n")).toEqual([
      { kind: "event", name: "message", data: "\ufeffx" },
    ]);
  });
});

it("decodes characters that are split over chunks", async () => {
  const bytes = new TextEncoder().encode(STREAM);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const items: SseItem[] = [];
  for await (const item of readEvents(body)) items.push(item);
  expect(items).toEqual(EXPECTED);
});

describe("ChunkReader", () => {
  const chunk = (delta: object, more: object = {}): object => ({
    id: "chatcmpl-1",
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  });

  it("names the answer once, and reads either name of reasoning once", () => {
    const reader = new ChunkReader();
    expect([...reader.read(chunk({ role: "assistant", content: "" }))]).toEqual([
      { kind: "begin", id: "chatcmpl-1" },
    ]);
    expect([...reader.read(chunk({ reasoning: "hm", reasoning_content: "hm" }))]).toEqual([
      { kind: "reasoning", text: "hm" },
    ]);
    expect([...reader.read(chunk({ reasoning_content: "old" }))]).toEqual([
      { kind: "reasoning", text: "old" },
    ]);
  });

  it("tells running counts from the final usage", () => {
    const reader = new ChunkReader();
    const usage = { prompt_tokens: 3, completion_tokens: 2 };
    const pieces = [...reader.read({ ...chunk({ content: "x" }), usage })];
    expect(pieces.at(-1)).toEqual({ kind: "count", completionTokens: 2 });
    const last = [...reader.read({ id: "chatcmpl-1", choices: [], usage, nanovl_timings: { ttft_ms: 5 } })];
    expect(last).toEqual([{ kind: "usage", usage, timings: { ttft_ms: 5 }, media: [] }]);
  });

  it("raises an error that comes inside the stream", () => {
    const read = (): unknown => [...new ChunkReader().read({ error: { message: "gone", code: "x" } })];
    expect(read).toThrowError("gone");
  });

  it("does not trip over chunks of unknown shape", () => {
    for (const odd of [null, 3, [], {}, { choices: 4 }, { choices: [null] }, { choices: [{}] }]) {
      expect([...new ChunkReader().read(odd)]).toEqual([]);
    }
  });
});

it("reads progress comments and ignores others", () => {
  expect(progressOf('progress {"stage":"prompt","done":40,"total":128}')).toEqual({
    stage: "prompt",
    done: 40,
    total: 128,
    unit: "",
  });
  for (const other of ["keep-alive", "progress", "progress {", "progress 4", 'progress {"a":1}']) {
    expect(progressOf(other)).toBeNull();
  }
});
