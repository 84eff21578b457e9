// What the page remembers: conversations of turns, turns of a question and its answers.
import type { MediaRow, Timings, Usage } from "../api/types.ts";

export type MediaKind = "image" | "video" | "audio" | "pdf";

/** What a person set for one attachment; null leaves it to the server. */
export interface MediaOptions {
  readonly maxTiles: number | null;
  readonly maxFrames: number | null;
  readonly fps: number | null;
  readonly startS: number | null;
  readonly endS: number | null;
  readonly pruning: number | null;
  readonly pages: string;
  readonly dpi: number | null;
}

export const NO_OPTIONS: MediaOptions = {
  maxTiles: null,
  maxFrames: null,
  fps: null,
  startS: null,
  endS: null,
  pruning: null,
  pages: "",
  dpi: null,
};

export interface Attachment {
  readonly id: string;
  readonly kind: MediaKind;
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /** A small picture as a data URL, or "". */
  readonly thumb: string;
  readonly width: number;
  readonly height: number;
  readonly durationS: number;
  readonly options: MediaOptions;
  /** Id of the upload on the server, or "". */
  readonly fileId: string;
}

export interface AnswerError {
  readonly message: string;
  readonly status: number;
  readonly code: string;
  readonly param: string;
}

export type AnswerStatus = "running" | "done" | "stopped" | "failed";

export interface Answer {
  readonly id: string;
  readonly status: AnswerStatus;
  readonly text: string;
  readonly reasoning: string;
  /** Tokens it may think: 0 is not at all, null is without limit. */
  readonly budget: number | null;
  /** Name of the schema it was held to, or "". */
  readonly schema: string;
  readonly finish: string;
  readonly detail: string;
  readonly createdAt: number;
  readonly ttftMs: number | null;
  readonly totalMs: number | null;
  readonly reasoningMs: number | null;
  readonly usage: Usage | null;
  readonly timings: Timings | null;
  readonly media: readonly MediaRow[];
  readonly error: AnswerError | null;
}

export interface Turn {
  readonly id: string;
  readonly text: string;
  readonly attachments: readonly Attachment[];
  readonly answers: readonly Answer[];
  /** Which of the answers is shown, and goes into the next prompt. */
  readonly shown: number;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly turns: readonly Turn[];
}

export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export function emptyConversation(now: number): Conversation {
  return { id: newId(), title: "", createdAt: now, updatedAt: now, turns: [] };
}

/** A title out of the first question. */
export function titleOf(conversation: Conversation): string {
  if (conversation.title) return conversation.title;
  const first = conversation.turns[0];
  const text = first?.text.replace(/\s+/g, " ").trim() || first?.attachments[0]?.name || "";
  return text.length > 60 ? `${text.slice(0, 59)}\u2026` : text || "New conversation";
}
