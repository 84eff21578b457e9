// Token arithmetic: what attachments cost, what fits, and which setting would make it fit.
import type { MediaRow } from "../api/types.ts";
import type { Attachment, MediaOptions } from "../state/types.ts";

/** Visual tokens of a video after pruning; the rule of the server. */
export function keptTokens(frames: number, perFrame: number, rate: number): number {
  const full = frames * perFrame;
  if (rate <= 0 || frames <= 1) return full;
  return Math.max(perFrame, Math.trunc(full * (1 - rate)));
}

/** What one attachment costs. */
export interface Cost {
  /** All of it in the prompt, the words around frames included. */
  readonly total: number;
  /** What it looks like to the model, after pruning and before. */
  readonly tokens: number;
  readonly before: number;
  readonly rows: readonly MediaRow[];
  readonly clamped: readonly string[];
}

/**
 * Which rows belong to which attachment. Pictures and pages come in the order of their
 * attachments, videos in theirs; a page number that comes again begins another document.
 */
export function costsOf(
  attachments: readonly Attachment[],
  rows: readonly MediaRow[],
): ReadonlyMap<string, Cost> {
  const pictures = rows.filter((row) => row.kind === "image");
  const videos = rows.filter((row) => row.kind === "video");
  const costs = new Map<string, Cost>();
  let at = 0;
  for (const attachment of attachments) {
    const own: MediaRow[] = [];
    if (attachment.kind === "image") {
      const row = pictures[at];
      if (row && row.page === undefined) own.push(row);
      at += own.length;
    } else if (attachment.kind === "pdf") {
      const seen = new Set<number>();
      const document = documentOf(pictures[at]);
      for (let row = pictures[at]; row?.page !== undefined; row = pictures[at]) {
        if (seen.has(row.page) || documentOf(row) !== document) break;
        seen.add(row.page);
        own.push(row);
        at += 1;
      }
    } else if (attachment.kind === "video") {
      const row = videos.shift();
      if (row) own.push(row);
    }
    costs.set(attachment.id, costOf(own));
  }
  return costs;
}

function documentOf(row: MediaRow | undefined): string {
  return (row?.name ?? "").replace(/ page \d+$/, "");
}

function costOf(rows: readonly MediaRow[]): Cost {
  const sum = (pick: (row: MediaRow) => number): number => rows.reduce((n, row) => n + pick(row), 0);
  return {
    total: sum((row) => row.prompt_tokens ?? row.tokens),
    tokens: sum((row) => row.tokens),
    before: sum((row) => row.tokens_before_pruning ?? row.tokens),
    rows,
    clamped: rows.flatMap((row) => row.clamped ?? []),
  };
}

/** How far apart the frames of a video are, and how many of them are looked at. */
export function framesLine(row: MediaRow): string {
  const frames = row.frames ?? row.tiles ?? 0;
  const times = row.times_s ?? [];
  const [first, second] = times;
  const each = first !== undefined && second !== undefined ? second - first : 0;
  const step = each > 0 ? `, every ${each < 10 ? trim(each) : Math.round(each)} s` : "";
  return `${frames} frame${frames === 1 ? "" : "s"}${step}`;
}

function trim(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export interface Change {
  readonly attachmentId: string;
  readonly change: Partial<MediaOptions>;
}

/** Changes that take away enough tokens, under one name. */
export interface Remedy {
  readonly label: string;
  readonly changes: readonly Change[];
}

const RATES = [0.25, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95] as const;
const FRAMES = [128, 96, 64, 48, 32, 24, 16, 12, 8, 4] as const;
const TILES = [12, 9, 6, 4, 2, 1] as const;

/** Settings for everything at once, from mild to severe. */
const TOGETHER: readonly Wanted[] = [
  { maxTiles: 6, pruning: 0.5, maxFrames: 64 },
  { maxTiles: 4, pruning: 0.75, maxFrames: 64 },
  { maxTiles: 4, pruning: 0.75, maxFrames: 32 },
  { maxTiles: 2, pruning: 0.8, maxFrames: 16 },
  { maxTiles: 1, pruning: 0.85, maxFrames: 12 },
  { maxTiles: 1, pruning: 0.9, maxFrames: 8 },
  { maxTiles: 1, pruning: 0.9, maxFrames: 4 },
  { maxTiles: 1, pruning: 0.9, maxFrames: 2 },
  { maxTiles: 1, pruning: 0.9, maxFrames: 1 },
];

export interface Wanted {
  readonly maxTiles?: number;
  readonly pruning?: number;
  readonly maxFrames?: number;
}

/**
 * What would make a prompt fit that is so many tokens too long: single settings of single
 * attachments, or, when none of them is enough, one setting for all of them.
 */
export function remedies(
  attachments: readonly Attachment[],
  costs: ReadonlyMap<string, Cost>,
  excess: number,
): Remedy[] {
  if (excess <= 0) return [];
  const single = attachments.flatMap((attachment) => {
    const cost = costs.get(attachment.id);
    return cost?.rows.length ? singles(attachment, cost, excess) : [];
  });
  if (single.length) return single;
  const total = (pick: (a: Attachment, cost: Cost) => number): number =>
    attachments.reduce((sum, a) => {
      const cost = costs.get(a.id);
      return cost ? sum + pick(a, cost) : sum;
    }, 0);
  const now = total((_, cost) => cost.total);
  const found = TOGETHER.find((wanted) => now - total((a, cost) => priceAt(a, cost, wanted)) >= excess);
  return found ? [together(attachments, found)] : [];
}

/** One remedy that gives every attachment the same settings. */
export function together(attachments: readonly Attachment[], wanted: Wanted): Remedy {
  const { maxTiles, pruning, maxFrames } = wanted;
  const hasVideo = attachments.some((a) => a.kind === "video");
  const hasPicture = attachments.some((a) => a.kind === "image" || a.kind === "pdf");
  const words = [
    hasVideo && maxFrames ? `${maxFrames} frame${maxFrames === 1 ? "" : "s"}` : "",
    hasVideo && pruning ? `${Math.round(pruning * 100)}% dropped` : "",
    hasPicture && maxTiles ? `${maxTiles} tile${maxTiles === 1 ? "" : "s"}` : "",
  ].filter(Boolean);
  const changes = attachments.flatMap((a): Change[] => {
    if (a.kind === "video") {
      const change = { ...(maxFrames ? { maxFrames } : {}), ...(pruning ? { pruning } : {}) };
      return [{ attachmentId: a.id, change }];
    }
    return a.kind === "audio" || !maxTiles ? [] : [{ attachmentId: a.id, change: { maxTiles } }];
  });
  return { label: `Fit all: ${words.join(", ")}`, changes };
}

/** The advice inside the server's own message, if there is some. */
export function advised(message: string): Wanted | null {
  const match = /fits with ((?:[a-z_]+=[\d.]+[ ,]*)+)/.exec(message);
  if (!match) return null;
  const value = (name: string): number => Number(new RegExp(`${name}=([\\d.]+)`).exec(match[1] ?? "")?.[1]);
  const [maxTiles, pruning, maxFrames] = ["max_tiles", "pruning_rate", "max_frames"].map(value);
  return {
    ...(maxTiles ? { maxTiles } : {}),
    ...(pruning ? { pruning } : {}),
    ...(maxFrames ? { maxFrames } : {}),
  };
}

function singles(attachment: Attachment, cost: Cost, excess: number): Remedy[] {
  const helps = (wanted: Wanted): boolean => cost.total - priceAt(attachment, cost, wanted) >= excess;
  const remedy = (label: string, change: Partial<MediaOptions>): Remedy => ({
    label,
    changes: [{ attachmentId: attachment.id, change }],
  });
  const found: Remedy[] = [];
  if (attachment.kind === "video") {
    const maxFrames = FRAMES.find((n) => helps({ maxFrames: n }));
    if (maxFrames) found.push(remedy(`Use ${maxFrames} frames`, { maxFrames }));
    const pruning = RATES.find((rate) => helps({ pruning: rate }));
    if (pruning) found.push(remedy(`Drop ${Math.round(pruning * 100)}% of video tokens`, { pruning }));
    return found;
  }
  if (attachment.kind === "pdf") {
    const kept = pagesThatFit(cost, cost.total - excess);
    if (kept.length && kept.length < cost.rows.length) {
      const pages = pageRanges(kept);
      found.push(remedy(kept.length === 1 ? `Use page ${pages} only` : `Use pages ${pages}`, { pages }));
    }
  }
  const maxTiles = TILES.find((n) => helps({ maxTiles: n }));
  if (maxTiles) {
    const where = attachment.kind === "pdf" ? " per page" : "";
    found.push(remedy(`Use ${maxTiles} tile${maxTiles === 1 ? "" : "s"}${where}`, { maxTiles }));
  }
  return found;
}

/** What an attachment would cost with these settings; never more than now. */
function priceAt(attachment: Attachment, cost: Cost, wanted: Wanted): number {
  if (attachment.kind === "video") {
    const row = cost.rows[0];
    const frames = row?.frames ?? 0;
    if (!frames) return cost.total;
    const words = (cost.total - cost.tokens) / frames;
    const n = Math.min(frames, wanted.maxFrames ?? frames);
    const rate = Math.max(row?.pruning_rate ?? 0, wanted.pruning ?? 0);
    return Math.min(cost.total, keptTokens(n, cost.before / frames, rate) + words * n);
  }
  const most = wanted.maxTiles;
  if (!most) return cost.total;
  return cost.rows.reduce((sum, row) => {
    const tiles = row.tiles ?? 1;
    const around = (row.prompt_tokens ?? row.tokens) - row.tokens;
    // A picture that is cut also has one small copy of the whole.
    return sum + around + (tiles <= most ? row.tokens : (row.tokens / tiles) * (most > 1 ? most + 1 : 1));
  }, 0);
}

function pagesThatFit(cost: Cost, room: number): number[] {
  const kept: number[] = [];
  let left = room;
  for (const row of cost.rows) {
    left -= row.prompt_tokens ?? row.tokens;
    if (left < 0) break;
    kept.push(row.page ?? kept.length + 1);
  }
  return kept;
}

/** 1, 2, 3, 5 as "1-3,5". */
export function pageRanges(pages: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const page of pages) {
    const last = parts.at(-1);
    if (last && last[1] + 1 === page) last[1] = page;
    else parts.push([page, page]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** Whether a text names pages: "1-4,7". */
export function isPageList(text: string): boolean {
  return /^\s*$|^\s*\d{1,5}\s*(?:-\s*(?:\d{1,5})?)?\s*(?:,\s*\d{1,5}\s*(?:-\s*(?:\d{1,5})?)?\s*)*$/.test(text);
}

export interface Segment {
  readonly name: string;
  readonly kind: "text" | "image" | "video" | "pdf" | "audio" | "answer";
  readonly tokens: number;
  readonly share: number;
}

/** The bar: text, every attachment, room for the answer; shares of the context. */
export function segments(
  count: number,
  limit: number,
  answer: number,
  attachments: readonly Attachment[],
  costs: ReadonlyMap<string, Cost>,
): Segment[] {
  const scale = Math.max(limit, count, 1);
  const made: Segment[] = [];
  let media = 0;
  for (const attachment of attachments) {
    const tokens = costs.get(attachment.id)?.total ?? 0;
    media += tokens;
    if (tokens) made.push({ name: attachment.name, kind: attachment.kind, tokens, share: tokens / scale });
  }
  const text = Math.max(0, count - media);
  made.unshift({ name: "Text", kind: "text", tokens: text, share: text / scale });
  const room = Math.max(0, Math.min(answer, limit - count));
  if (room) made.push({ name: "Answer", kind: "answer", tokens: room, share: room / scale });
  return made;
}

/** Room an answer needs at least. */
export function reserve(limit: number): number {
  return Math.min(256, Math.floor(limit / 8));
}

export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
