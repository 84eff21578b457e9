// Asking: sends a question, takes the answer in piece by piece, stops it, hurries it.
import { ApiFailure, explain } from "../api/errors.ts";
import { chatBody, type AnswerSchema } from "../api/request.ts";
import type { AnswerPiece, Progress } from "../api/types.ts";
import { blobOf } from "../media/blobs.ts";
import { change, changeAttachment, chat, chosenSchema, client, draft, keep, say, server, toast, upload } from "./app.ts";
import { askSettings } from "./count.ts";
import { wireMessages } from "./parts.ts";
import { settings } from "./settings.ts";
import { Store } from "./store.ts";
import { newId, type Answer, type Conversation, type Turn } from "./types.ts";

export type Phase = "sending" | "reading" | "thinking" | "answering";

export interface Live {
  readonly answerId: string;
  readonly conversationId: string;
  readonly wireId: string;
  readonly phase: Phase;
  readonly progress: Progress | null;
  readonly tokens: number;
  readonly thought: number;
  readonly startedAt: number;
}

export const live = new Store<{ run: Live | null }>({ run: null });

let stopper: AbortController | null = null;

/** Send what is in the composer. */
export async function send(): Promise<void> {
  const { text, attachments, editing } = draft.get();
  if (live.get().run || server.get().connection !== "ready") return;
  if (!text.trim() && !attachments.length) return;
  const before = chat.get().current;
  const at = editing ? before.turns.findIndex((t) => t.id === editing) : before.turns.length;
  const turn: Turn = { id: newId(), text: text.trim(), attachments, answers: [], shown: 0 };
  change((c) => ({ ...c, turns: [...c.turns.slice(0, Math.max(0, at)), turn] }));
  draft.set({ text: "", attachments: [], editing: "" });
  if (editing && at < before.turns.length - 1) {
    toast("The answers after the edited question were replaced.", {
      label: "Undo",
      run: () => {
        stop();
        keep(before);
        chat.set({ current: before });
      },
    });
  }
  await answer(turn.id);
}

/** Answer a question once more; earlier answers stay beside the new one. */
export async function regenerate(turnId: string): Promise<void> {
  if (live.get().run) return;
  const { turns } = chat.get().current;
  const at = turns.findIndex((t) => t.id === turnId);
  if (at < 0) return;
  change((c) => ({ ...c, turns: c.turns.slice(0, at + 1) }));
  await answer(turnId);
}

export function stop(): void {
  stopper?.abort();
}

export async function answerNow(): Promise<void> {
  const run = live.get().run;
  if (!run?.wireId) return;
  try {
    if (!(await client.answerNow(run.wireId))) toast("The model is not thinking any more.");
  } catch (error) {
    toast(error instanceof ApiFailure ? error.message : String(error));
  }
}

async function answer(turnId: string): Promise<void> {
  const conversationId = chat.get().current.id;
  const schema = chosenSchema();
  const made = newAnswer(schema);
  editTurn(conversationId, turnId, (t) => ({
    ...t,
    answers: [...t.answers, made],
    shown: t.answers.length,
  }));
  const mine = new AbortController();
  stopper = mine;
  live.set({
    run: {
      answerId: made.id,
      conversationId,
      wireId: "",
      phase: "sending",
      progress: null,
      tokens: 0,
      thought: 0,
      startedAt: performance.now(),
    },
  });
  say("Sent. Waiting for the answer.");
  const taking = new Taking(made, (next, save) => {
    editTurn(
      conversationId,
      turnId,
      (t) => ({ ...t, answers: t.answers.map((a) => (a.id === next.id ? next : a)) }),
      save,
    );
  });
  try {
    await ask(turnId, schema, taking, mine.signal);
    taking.end("done");
    say("The answer is complete.");
  } catch (error) {
    if (mine.signal.aborted) {
      taking.end("stopped");
      say("Stopped.");
    } else {
      const failure = error instanceof ApiFailure ? error : new ApiFailure(String(error));
      taking.end("failed", failure);
      if (failure.status === 401) server.set({ connection: "key", problem: failure.message });
      say(`${explain(failure).title}. ${failure.message}`);
    }
  } finally {
    live.set({ run: null });
    stopper = null;
  }
}

async function ask(
  turnId: string,
  schema: AnswerSchema | null,
  taking: Taking,
  signal: AbortSignal,
): Promise<void> {
  const settingsNow = askSettings();
  for (let attempt = 0; ; attempt += 1) {
    const { turns } = chat.get().current;
    const upTo = turns.slice(0, turns.findIndex((t) => t.id === turnId) + 1);
    const messages = await wireMessages(settingsNow.system, upTo);
    if (signal.aborted) throw new ApiFailure("stopped");
    try {
      for await (const piece of client.chat(chatBody(settingsNow, messages, schema), signal)) {
        taking.take(piece);
      }
      return;
    } catch (error) {
      const gone = error instanceof ApiFailure && error.status === 404 && error.param.endsWith("file_id");
      if (!gone || attempt || signal.aborted || !(await uploadAgain(upTo))) throw error;
    }
  }
}

/** Uploads end after a while; what is still here is sent again. */
async function uploadAgain(turns: readonly Turn[]): Promise<boolean> {
  const old = turns.flatMap((t) => t.attachments).filter((a) => a.fileId && blobOf(a.id));
  for (const attachment of old) {
    changeAttachment(attachment.id, { fileId: "" });
    await upload(attachment);
  }
  return old.length > 0;
}

function newAnswer(schema: AnswerSchema | null): Answer {
  return {
    id: newId(),
    status: "running",
    text: "",
    reasoning: "",
    budget: settings.get().budget,
    schema: schema?.name ?? "",
    finish: "",
    detail: "",
    createdAt: Date.now(),
    ttftMs: null,
    totalMs: null,
    reasoningMs: null,
    usage: null,
    timings: null,
    media: [],
    error: null,
  };
}

/** The conversation may not be on the screen any more when a piece comes. */
function editTurn(conversationId: string, turnId: string, make: (t: Turn) => Turn, save = true): void {
  const swap = (c: Conversation): Conversation => ({
    ...c,
    turns: c.turns.map((t) => (t.id === turnId ? make(t) : t)),
  });
  if (chat.get().current.id === conversationId) {
    change(swap, save);
    return;
  }
  const other = chat.get().all.find((c) => c.id === conversationId);
  if (!other) return;
  if (save) keep(swap(other));
  else chat.set(({ all }) => ({ all: all.map((c) => (c.id === other.id ? swap(c) : c)) }));
}

const DRAW_MS = 40;

/** Collects pieces and hands the answer over no more often than it can be drawn. */
class Taking {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly began = performance.now();

  constructor(
    private now: Answer,
    private readonly draw: (answer: Answer, save: boolean) => void,
  ) {}

  take(piece: AnswerPiece): void {
    switch (piece.kind) {
      case "begin":
        patch({ wireId: piece.id, phase: "reading" });
        return;
      case "progress":
        patch({ progress: piece.progress });
        return;
      case "reasoning":
        this.first();
        patch({ phase: "thinking", progress: null });
        this.change({ reasoning: this.now.reasoning + piece.text });
        return;
      case "text":
        this.first();
        if (live.get().run?.phase !== "answering") patch({ phase: "answering", progress: null });
        if (this.now.reasoning && this.now.reasoningMs === null) {
          this.change({ reasoningMs: performance.now() - this.began - (this.now.ttftMs ?? 0) });
        }
        this.change({ text: this.now.text + piece.text });
        return;
      case "count": {
        const thinking = live.get().run?.phase === "thinking";
        patch({ tokens: piece.completionTokens, ...(thinking ? { thought: piece.completionTokens } : {}) });
        return;
      }
      case "finish":
        this.change({ finish: piece.reason, detail: piece.detail });
        return;
      case "usage":
        this.change({ usage: piece.usage, timings: piece.timings, media: piece.media });
    }
  }

  end(status: Answer["status"], failure?: ApiFailure): void {
    clearTimeout(this.timer);
    const error = failure && {
      message: failure.message,
      status: failure.status,
      code: failure.code,
      param: failure.param,
    };
    const totalMs = performance.now() - this.began;
    this.now = { ...this.now, status, totalMs, error: error ?? null };
    this.draw(this.now, true);
  }

  private first(): void {
    if (this.now.ttftMs === null) this.change({ ttftMs: performance.now() - this.began });
  }

  private change(change: Partial<Answer>): void {
    this.now = { ...this.now, ...change };
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw(this.now, false);
    }, DRAW_MS);
  }
}

function patch(change: Partial<Live>): void {
  live.set(({ run }) => ({ run: run && { ...run, ...change } }));
}
