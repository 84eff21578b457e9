// Answers with times to subtitles: SubRip and WebVTT.
import { findTimes } from "./times.ts";

export interface Cue {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const LAST_CUE_S = 4;

/** One cue per line that begins with a time; lines without one go on with the cue before. */
export function cuesOf(answer: string, durationS: number | null): Cue[] {
  const open: { start: number; end: number | null; text: string }[] = [];
  for (const raw of answer.split("\n")) {
    const line = withoutMarks(raw);
    if (!line) continue;
    const time = findTimes(line)[0];
    if (time && time.index <= 12) {
      const before = line.slice(0, time.index).replace(/[[(]\s*$/, "");
      const after = line.slice(time.index + time.text.length).replace(/^\s*[\])]?\s*[:\-\u2013\u2014|]?\s*/, "");
      open.push({ start: time.start, end: time.end, text: `${before}${after}`.trim() });
    } else {
      const last = open.at(-1);
      if (last) last.text = `${last.text}\n${line}`.trim();
    }
  }
  open.sort((a, b) => a.start - b.start);
  const cues = open.map((cue, index) => {
    const next = open[index + 1]?.start ?? Math.min(cue.start + LAST_CUE_S, durationS ?? Infinity);
    const end = cue.end ?? (next > cue.start ? next : cue.start + LAST_CUE_S);
    return { start: cue.start, end: Math.max(end, cue.start + 0.2), text: cue.text };
  });
  return cues.filter((cue) => cue.text);
}

export function toSrt(cues: readonly Cue[]): string {
  return cues
    .map((cue, i) => `${i + 1}\n${stamp(cue.start, ",")} --> ${stamp(cue.end, ",")}\n${cue.text}\n`)
    .join("\n");
}

export function toVtt(cues: readonly Cue[]): string {
  const escape = (text: string): string =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const blocks = cues.map(
    (cue) => `${stamp(cue.start, ".")} --> ${stamp(cue.end, ".")}\n${escape(cue.text)}\n`,
  );
  return ["WEBVTT\n", ...blocks].join("\n");
}

function stamp(seconds: number, point: string): string {
  const ms = Math.round(seconds * 1000);
  const part = (value: number, digits = 2): string => String(value).padStart(digits, "0");
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  return `${part(hours)}:${part(minutes)}:${part(Math.floor(ms / 1000) % 60)}${point}${part(ms % 1000, 3)}`;
}

function withoutMarks(line: string): string {
  return line
    .trim()
    .replace(/^(?:[-*+]|\d+\.|#{1,6})\s+/, "")
    .replace(/[*_`]{1,3}/g, "")
    .trim();
}
