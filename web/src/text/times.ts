// Points in time as answers write them: 1:05, 00:01:05, 12.5s, and ranges of these.

export interface TimeMatch {
  readonly index: number;
  readonly text: string;
  readonly start: number;
  readonly end: number | null;
}

const CLOCK = String.raw`(?:\d{1,2}:)?[0-5]?\d:[0-5]\d(?:[.,]\d{1,3})?`;
const SECONDS = String.raw`\d{1,5}(?:\.\d{1,3})?\s?(?:s|sec|secs|seconds?)`;
const ONE = `(?:${CLOCK}|${SECONDS})`;
const BARE_NUMBER = String.raw`\d{1,5}(?:\.\d{1,3})?`;
const DASH = String.raw`\s?(?:-|\u2013|\u2014|to|-->)\s?`;
const PATTERN = new RegExp(
  String.raw`(?<![\w:.,/$-])(?:(${ONE}|${BARE_NUMBER}(?=${DASH}${SECONDS}))${DASH})?(${ONE})(?!\w|:\d|\.\d)`,
  "gi",
);

/** Seconds of one point in time; null if it is none. */
export function secondsOf(text: string): number | null {
  const clean = text.trim().toLowerCase().replace(",", ".");
  const unit = /^(\d+(?:\.\d+)?)\s?(?:s|sec|secs|seconds?)?$/.exec(clean);
  if (unit) return Number(unit[1]);
  const parts = clean.split(":");
  if (parts.length < 2 || parts.length > 3 || !parts.every((p) => /^\d+(\.\d+)?$/.test(p))) {
    return null;
  }
  return parts.reduce((total, part) => total * 60 + Number(part), 0);
}

/** All points in time and ranges of a text, in order. */
export function findTimes(text: string): TimeMatch[] {
  const found: TimeMatch[] = [];
  for (const match of text.matchAll(PATTERN)) {
    const [whole, first, last = ""] = match;
    const start = secondsOf(first ?? last);
    if (start === null) continue;
    const end = first === undefined ? null : secondsOf(last);
    found.push({ index: match.index, text: whole, start, end });
  }
  return found;
}

/** mm:ss, with hours when there are some and tenths when asked for. */
export function clock(seconds: number, digits = 0): string {
  const scale = 10 ** digits;
  const total = Math.round(Math.max(0, seconds) * scale) / scale;
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const rest = (total % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const head = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes).padStart(2, "0");
  return `${head}:${rest}`;
}
