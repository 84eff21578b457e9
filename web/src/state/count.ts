// The token meter: asks the server what the next question will cost, a moment after it changed.
import { ApiFailure } from "../api/errors.ts";
import { tokenizeBody, type AskSettings } from "../api/request.ts";
import { costsOf, type Cost } from "../tokens/meter.ts";
import { chat, client, draft, server, uploads } from "./app.ts";
import { wireMessages } from "./parts.ts";
import { settings } from "./settings.ts";
import { Store } from "./store.ts";
import type { Attachment, Turn } from "./types.ts";

export const meter = new Store<{
  count: number;
  limit: number;
  costs: ReadonlyMap<string, Cost>;
  attachments: readonly Attachment[];
  busy: boolean;
  problem: string;
}>({ count: 0, limit: 0, costs: new Map(), attachments: [], busy: false, problem: "" });

const PAUSE_MS = 250;
let timer: ReturnType<typeof setTimeout> | undefined;
let running: AbortController | null = null;
let last = "";

export function askSettings(): AskSettings {
  const { system, budget, maxTokens, temperature, seed } = settings.get();
  return { model: server.get().model?.id ?? "", system, budget, maxTokens, temperature, seed };
}

/** The turns that a question sent now would consist of. */
export function nextTurns(): Turn[] {
  const { text, attachments, editing } = draft.get();
  const { turns } = chat.get().current;
  const at = editing ? turns.findIndex((t) => t.id === editing) : -1;
  const before = at < 0 ? turns : turns.slice(0, at);
  return [...before, { id: "draft", text, attachments, answers: [], shown: 0 }];
}

export function startCounting(): void {
  for (const store of [chat, draft, server, settings, uploads]) store.subscribe(plan);
}

function plan(): void {
  clearTimeout(timer);
  timer = setTimeout(() => void count(), PAUSE_MS);
}

async function count(): Promise<void> {
  if (server.get().connection !== "ready" || uploads.get().busy.size) return;
  const turns = nextTurns();
  if (turns.some((t) => t.answers.some((a) => a.status === "running"))) return;
  const ask = askSettings();
  // What the count depends on: media by id and options, not by its bytes.
  const about = JSON.stringify([
    ask.model,
    ask.system,
    ask.budget !== 0,
    turns.map((t) => [t.text, t.attachments.map((a) => [a.id, a.options]), t.answers[t.shown]?.text]),
  ]);
  if (about === last) return;
  last = about;
  running?.abort();
  const attachments = turns.flatMap((t) => t.attachments);
  if (turns.length === 1 && !turns[0]?.text && !attachments.length) {
    meter.set({ count: 0, costs: new Map(), attachments: [], busy: false, problem: "" });
    return;
  }
  const mine = new AbortController();
  running = mine;
  meter.set({ busy: true });
  try {
    const body = tokenizeBody(ask, await wireMessages(ask.system, turns));
    if (mine.signal.aborted) return;
    const found = await client.tokenize(body, mine.signal);
    meter.set({
      count: found.count,
      limit: found.max_model_len,
      costs: costsOf(attachments, found.nanovl_media),
      attachments,
      busy: false,
      problem: "",
    });
  } catch (error) {
    if (mine.signal.aborted) return;
    last = "";
    const problem = error instanceof ApiFailure ? error.message : String(error);
    meter.set({ busy: false, problem, costs: new Map(), attachments });
  }
}
