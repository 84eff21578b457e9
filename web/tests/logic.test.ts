import "fake-indexeddb/auto";
import { describe, expect, it } from "vitest";
import { ApiFailure, explain, failureOf } from "../src/api/errors.ts";
import { chatBody, mediaPart, messagesOf, tokenizeBody, type AskSettings } from "../src/api/request.ts";
import type { MediaRow } from "../src/api/types.ts";
import { kindOf } from "../src/media/kinds.ts";
import { fromJsonSchema, PRESETS, readSchema, schemaName, toJsonSchema } from "../src/schema/fields.ts";
import { MemoryShelf, openShelf } from "../src/state/db.ts";
import { exported, imported } from "../src/state/portable.ts";
import {
  emptyConversation,
  NO_OPTIONS,
  titleOf,
  type Answer,
  type Attachment,
  type Conversation,
  type Turn,
} from "../src/state/types.ts";
import {
  advised,
  costsOf,
  framesLine,
  isPageList,
  keptTokens,
  pageRanges,
  remedies,
  reserve,
  segments,
} from "../src/tokens/meter.ts";

const attached = (id: string, kind: Attachment["kind"], more: Partial<Attachment> = {}): Attachment => ({
  id, kind, name: `${id}.x`, type: "", bytes: 10, thumb: "", width: 0, height: 0, durationS: 0, options: NO_OPTIONS, fileId: "", ...more,
});
const answered = (text: string): Answer => ({
  id: "a", status: "done", text, reasoning: "r", budget: 0, schema: "", finish: "stop", detail: "", createdAt: 1,
  ttftMs: 2, totalMs: 3, reasoningMs: null, usage: { prompt_tokens: 1, completion_tokens: 2 }, timings: { ttft_ms: 1 }, media: [], error: null,
});
const asked = (text: string, attachments: readonly Attachment[] = [], ...answers: Answer[]): Turn => ({
  id: `t-${text}`, text, attachments, answers, shown: Math.max(0, answers.length - 1),
});

describe("token arithmetic", () => {
  it.each([
    [10, 256, 0.8, 511], [128, 256, 0.75, 8192], [1, 256, 0.9, 256], [4, 256, 0.95, 256], [8, 256, 0, 2048],
  ])("keeps the server's number of tokens: %d frames of %d at %d", (frames, each, rate, kept) => {
    expect(keptTokens(frames, each, rate)).toBe(kept);
  });

  const page = (n: number, name = "d.pdf"): MediaRow => ({ kind: "image", tokens: 1024, tiles: 4, page: n, name: `${name} page ${n}` });
  const image: MediaRow = { kind: "image", tokens: 256, tiles: 1 };
  const video: MediaRow = {
    kind: "video", tokens: 8192, prompt_tokens: 8192 + 128 * 20, tokens_before_pruning: 32768, pruning_rate: 0.75, frames: 128,
    times_s: [0, 4.5], clamped: ["128 instead of 600 frames"],
  };

  it("tells whose rows are whose", () => {
    const list = [attached("v", "video"), attached("i", "image"), attached("d", "pdf"), attached("e", "pdf"), attached("s", "audio")];
    const costs = costsOf(list, [image, page(1), page(2), page(1), video]);
    expect([...costs].map(([id, c]) => [id, c.tokens, c.rows.length])).toEqual([
      ["v", 8192, 1], ["i", 256, 1], ["d", 2048, 2], ["e", 1024, 1], ["s", 0, 0],
    ]);
    expect(costs.get("v")?.clamped).toEqual(["128 instead of 600 frames"]);
    expect(costs.get("v")?.before).toBe(32768);
    const other = costsOf([attached("d", "pdf"), attached("e", "pdf")], [page(1, "a"), page(2, "b")]);
    expect([...other.values()].map((c) => c.rows.length)).toEqual([1, 1]);
  });

  it("does not give a page to a picture, nor a picture to a document", () => {
    const costs = costsOf([attached("i", "image"), attached("d", "pdf")], [page(1)]);
    expect([...costs.values()].map((c) => c.rows.length)).toEqual([0, 1]);
  });

  it("offers single settings that are enough, and only those", () => {
    const list = [attached("v", "video"), attached("d", "pdf")];
    const costs = costsOf(list, [page(1), page(2), page(3), video]);
    const found = remedies(list, costs, 2000);
    expect(found.map((f) => f.label)).toEqual([
      "Use 96 frames", "Drop 85% of video tokens", "Use page 1 only", "Use 1 tile per page",
    ]);
    expect(found[0]?.changes).toEqual([{ attachmentId: "v", change: { maxFrames: 96 } }]);
    expect(remedies(list, costs, 0)).toEqual([]);
  });

  it("offers one setting for all when no single one is enough", () => {
    const list = [attached("v", "video"), attached("d", "pdf")];
    const costs = costsOf(list, [page(1), page(2), page(3), video]);
    const [all, ...rest] = remedies(list, costs, 12000);
    expect(rest).toEqual([]);
    expect(all?.label).toMatch(/^Fit all: \d+ frames, \d+% dropped, \d+ tiles?$/);
    expect(all?.changes.map((c) => c.attachmentId)).toEqual(["v", "d"]);
    expect(remedies(list, costs, 14000)).toEqual([]);
  });

  it("reads the server's own advice", () => {
    expect(advised("prompt has 9 tokens, limit 4; it fits with max_tiles=1 pruning_rate=0.9 max_frames=12 (174 tokens)")).toEqual({
      maxTiles: 1, pruning: 0.9, maxFrames: 12,
    });
    expect(advised("prompt has 9 tokens, limit 4")).toBeNull();
  });

  it("draws the bar", () => {
    const list = [attached("i", "image")];
    const parts = segments(356, 1000, 200, list, costsOf(list, [image]));
    expect(parts.map((p) => [p.kind, p.tokens, p.share])).toEqual([["text", 100, 0.1], ["image", 256, 0.256], ["answer", 200, 0.2]]);
    expect(segments(2000, 1000, 500, [], new Map()).map((p) => p.share)).toEqual([1]);
    expect([reserve(131072), reserve(200)]).toEqual([256, 25]);
  });

  it("writes frames and pages", () => {
    expect(framesLine(video)).toBe("128 frames, every 4.5 s");
    expect(framesLine({ kind: "video", tokens: 1, frames: 1 })).toBe("1 frame");
    expect(pageRanges([1, 2, 3, 5, 7, 8])).toBe("1-3,5,7-8");
    expect(["", "1", "1-4,7", "3-", " 2 , 4 - 6 "].every(isPageList)).toBe(true);
    expect(["a", "1,,2", "-1", "1;2"].some(isPageList)).toBe(false);
  });
});

describe("requests", () => {
  const settings: AskSettings = { model: "m", system: " be brief ", budget: 0, maxTokens: null, temperature: null, seed: null };

  it("makes parts with the settings of their attachment", () => {
    const options = { ...NO_OPTIONS, maxTiles: 4, maxFrames: 8, pruning: 0.5, startS: 1, pages: " 1-2 ", dpi: 100 };
    const part = (kind: Attachment["kind"]): unknown => mediaPart(attached("x", kind, { options }), "data:x");
    const source = { file_data: "data:x", filename: "x.x" };
    expect(part("image")).toEqual({ type: "file", file: { ...source, max_tiles: 4 } });
    expect(part("video")).toEqual({ type: "file", file: { ...source, max_frames: 8, pruning_rate: 0.5, start_s: 1 } });
    expect(part("pdf")).toEqual({ type: "file", file: { ...source, pages: "1-2", dpi: 100, max_tiles: 4 } });
    expect(part("audio")).toEqual({ type: "file", file: source });
    expect(mediaPart(attached("v", "video", { options, fileId: "file-1" }), "")).toEqual({
      type: "file", file: { file_id: "file-1", max_frames: 8, pruning_rate: 0.5, start_s: 1 },
    });
  });

  it("keeps the shown answers, and says which media is gone", () => {
    const turns = [asked("one", [attached("i", "image")], answered("old"), answered("new")), asked("two")];
    expect(messagesOf(settings.system, turns, () => null)).toEqual([
      { role: "system", content: "be brief" },
      { role: "user", content: [{ type: "text", text: "(i.x is no longer here.)\n" }, { type: "text", text: "one" }] },
      { role: "assistant", content: "new" },
      { role: "user", content: "two" },
    ]);
  });

  it("thinks as told", () => {
    expect(chatBody(settings, [], null)).toMatchObject({ chat_template_kwargs: { enable_thinking: false }, temperature: 0, stream: true });
    expect(chatBody(settings, [], null)).not.toHaveProperty("thinking_token_budget");
    expect(chatBody({ ...settings, budget: 512 }, [], null)).toMatchObject({ thinking_token_budget: 512, temperature: 0.6, top_p: 0.95 });
    expect(chatBody({ ...settings, budget: null, temperature: 1 }, [], null)).toMatchObject({ thinking_token_budget: -1, temperature: 1 });
    expect(tokenizeBody(settings, [])).toMatchObject({ chat_template_kwargs: { enable_thinking: false } });
  });

  it("asks for a schema", () => {
    expect(chatBody(settings, [], { name: "n", schema: { type: "object" } })).toMatchObject({
      response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object" }, strict: true } },
    });
  });
});

describe("errors", () => {
  it("reads any body", () => {
    const full = failureOf({ error: { message: "m", code: "c", param: "p" } }, 400, "5");
    expect([full.message, full.code, full.param, full.retryAfterS]).toEqual(["m", "c", "p", 5]);
    for (const odd of [null, "x", {}, { error: "x" }, { error: { message: 4 } }]) {
      expect(failureOf(odd, 502, null).message).toContain("502");
    }
  });

  it.each([
    [400, "context_length_exceeded", "fewer-frames"], [401, "", "key"], [422, "", "attach-again"], [429, "", "retry"],
    [503, "", "retry"], [0, "", "retry"], [413, "", "fewer-pages"], [500, "", "retry"],
  ] as const)("offers a way out of %d %s", (status, code, way) => {
    expect(explain(new ApiFailure("m", { status, code })).remedies).toContain(way);
  });
});

it("tells files apart", () => {
  expect(kindOf("a.PNG", "")).toEqual(["image", "image/png"]);
  expect(kindOf("a", "video/mp4")).toEqual(["video", "video/mp4"]);
  expect(kindOf("a.pdf", "application/octet-stream")).toEqual(["pdf", "application/pdf"]);
  expect(kindOf("a.mkv", "application/x-matroska")?.[0]).toBe("video");
  expect(kindOf("a.svg", "image/svg+xml")).toBeNull();
  expect(kindOf("a.exe", "")).toBeNull();
  expect(kindOf("a.png", "text/html")).toBeNull();
});

describe("schemas", () => {
  it.each(PRESETS.map((p) => [p.name, p] as const))("goes there and back: %s", (_, preset) => {
    expect(fromJsonSchema(toJsonSchema(preset.fields))).toEqual(preset.fields);
  });

  it("leaves alone what the table cannot show", () => {
    for (const odd of [null, {}, { type: "array" }, { type: "object", properties: { a: { enum: ["x"] } } }, { type: "object", properties: {}, $defs: {} }]) {
      expect(fromJsonSchema(odd)).toBeNull();
    }
  });

  it("reads typed schemas and names", () => {
    expect(readSchema("{")).toHaveProperty("problem");
    expect(readSchema("[]")).toHaveProperty("problem");
    expect(readSchema('{"type":"object"}')).toEqual({ schema: { type: "object" } });
    expect([schemaName(" my name! "), schemaName("")]).toEqual(["my_name_", "answer"]);
  });
});

describe("conversations", () => {
  const whole: Conversation = {
    ...emptyConversation(5), turns: [asked("one", [attached("i", "image", { thumb: "data:image/jpeg;base64,QUJD", fileId: "file-0a" })], answered("x"))],
  };

  it("goes out and comes back", () => {
    const [back] = imported(exported([whole]));
    expect(back?.turns[0]?.text).toBe("one");
    expect(back?.turns[0]?.attachments[0]?.thumb).toBe("data:image/jpeg;base64,QUJD");
    expect(back?.turns[0]?.answers[0]?.text).toBe("x");
    expect(titleOf(whole)).toBe("one");
  });

  it("keeps nothing dangerous of a file", () => {
    const bad = {
      format: "nanovl-conversations", version: 1,
      conversations: [{ id: "../x", title: 4, turns: [{ text: {}, shown: 9, attachments: [{ kind: "script", thumb: "https://evil.example/x.png", fileId: "../../etc", options: { maxTiles: "9" } }], answers: [{ status: "running", text: 1, usage: [], error: { message: {} } }] }, null] }, 7],
    };
    const found = imported(JSON.stringify(bad));
    const [first] = found;
    const [turn] = first?.turns ?? [];
    expect(first?.id).toMatch(/^[0-9a-f]{24}$/);
    expect(turn?.attachments[0]).toMatchObject({ kind: "image", thumb: "", fileId: "", options: NO_OPTIONS });
    expect(turn?.answers[0]).toMatchObject({ status: "stopped", text: "", error: { message: "" } });
    expect(turn?.shown).toBe(0);
    expect(found).toHaveLength(2);
  });

  it.each(["{", "[]", '{"format":"other"}', '{"format":"nanovl-conversations","version":2}'])("refuses %s", (text) => {
    expect(() => imported(text)).toThrowError(/^The file/);
  });

  it("stays in the database, newest first", async () => {
    const shelf = await openShelf();
    expect(shelf.lasting).toBe(true);
    await shelf.put(whole);
    await shelf.put({ ...whole, id: "newer", updatedAt: 9 });
    const again = await openShelf();
    expect((await again.all()).map((c) => c.updatedAt)).toEqual([9, 5]);
    await again.remove("newer");
    expect(await again.all()).toHaveLength(1);
    await again.clear();
    expect(await again.all()).toEqual([]);
  });

  it("lives in memory where there is no database", async () => {
    const shelf = new MemoryShelf();
    await shelf.put(whole);
    expect([(await shelf.all()).length, shelf.lasting]).toEqual([1, false]);
  });
});
