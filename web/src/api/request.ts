// Bodies of requests out of conversations and settings. Pure: media is handed in as parts.
import type { Attachment, Turn } from "../state/types.ts";
import type { Part, WireMessage } from "./types.ts";

export interface AskSettings {
  readonly model: string;
  readonly system: string;
  /** Tokens to think: 0 is not at all, null is without limit. */
  readonly budget: number | null;
  readonly maxTokens: number | null;
  /** Null leaves temperature and nucleus to what the thinking mode is best with. */
  readonly temperature: number | null;
  readonly seed: number | null;
}

export interface AnswerSchema {
  readonly name: string;
  readonly schema: object;
}

/** A part for an attachment, or null when its media is gone. */
export type PartOf = (attachment: Attachment) => Part | null;

/** Turns as messages; of every turn but the last, the answer that is shown goes along. */
export function messagesOf(system: string, turns: readonly Turn[], partOf: PartOf): WireMessage[] {
  const messages: WireMessage[] = [];
  if (system.trim()) messages.push({ role: "system", content: system.trim() });
  turns.forEach((turn, index) => {
    messages.push({ role: "user", content: contentOf(turn, partOf) });
    const answer = turn.answers[turn.shown];
    if (index < turns.length - 1) messages.push({ role: "assistant", content: answer?.text ?? "" });
  });
  return messages;
}

function contentOf(turn: Pick<Turn, "text" | "attachments">, partOf: PartOf): string | Part[] {
  if (!turn.attachments.length) return turn.text;
  const parts = turn.attachments.map((attachment): Part => {
    return partOf(attachment) ?? { type: "text", text: `(${attachment.name} is no longer here.)\n` };
  });
  if (turn.text) parts.push({ type: "text", text: turn.text });
  return parts;
}

/**
 * An attachment as a part: by the id of its upload, or with its bytes as a data URL. Every kind goes
 * as a file, so that messages about it can use its name.
 */
export function mediaPart(attachment: Attachment, dataUrl: string): Part {
  const { name, fileId } = attachment;
  const source = fileId ? { file_id: fileId } : { file_data: dataUrl, filename: name };
  return { type: "file", file: { ...source, ...optionsOf(attachment) } };
}

function optionsOf({ kind, options }: Attachment): Record<string, unknown> {
  const all: Record<string, unknown> =
    kind === "video"
      ? {
          fps: options.fps,
          max_frames: options.maxFrames,
          start_s: options.startS,
          end_s: options.endS,
          pruning_rate: options.pruning,
        }
      : kind === "pdf"
        ? { pages: options.pages.trim() || null, dpi: options.dpi, max_tiles: options.maxTiles }
        : kind === "image"
          ? { max_tiles: options.maxTiles }
          : {};
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

/** Fields about thinking and sampling. */
function thinkingOf(settings: AskSettings): Record<string, unknown> {
  const thinks = settings.budget !== 0;
  const sampling =
    settings.temperature !== null
      ? { temperature: settings.temperature }
      : thinks
        ? { temperature: 0.6, top_p: 0.95 }
        : { temperature: 0 };
  return {
    chat_template_kwargs: { enable_thinking: thinks },
    ...(thinks ? { thinking_token_budget: settings.budget ?? -1 } : {}),
    ...sampling,
  };
}

export function chatBody(
  settings: AskSettings,
  messages: readonly WireMessage[],
  schema: AnswerSchema | null,
): object {
  return {
    model: settings.model,
    messages,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true, nanovl_progress: true },
    ...thinkingOf(settings),
    ...(settings.maxTokens ? { max_completion_tokens: settings.maxTokens } : {}),
    ...(settings.seed === null ? {} : { seed: settings.seed }),
    ...(schema
      ? {
          response_format: {
            type: "json_schema",
            json_schema: { name: schema.name, schema: schema.schema, strict: true },
          },
        }
      : {}),
  };
}

export function tokenizeBody(settings: AskSettings, messages: readonly WireMessage[]): object {
  return {
    model: settings.model,
    messages,
    chat_template_kwargs: { enable_thinking: settings.budget !== 0 },
  };
}
