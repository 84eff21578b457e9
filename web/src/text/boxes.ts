// Boxes in answers: how they are written, and what part of a picture they mean.

/** Corners as they were written. */
export type Box = readonly [number, number, number, number];

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Share of a picture, 0 to 1. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A box with where it came from. */
export interface Mark {
  readonly id: number;
  readonly label: string;
  readonly box: Box;
  /** Number of the picture the text speaks of, from 1, or null. */
  readonly image: number | null;
  /** Page the text speaks of, from 1, or null. */
  readonly page: number | null;
}

const N = String.raw`\d{1,5}(?:\.\d{1,6})?`;
const CORNERS = new RegExp(
  String.raw`\(\s*(${N})\s*,\s*(${N})\s*\)\s*,?\s*\(\s*(${N})\s*,\s*(${N})\s*\)|` +
    String.raw`\[?\s*(${N})\s*,\s*(${N})\s*,\s*(${N})\s*,\s*(${N})\s*\]?`,
  "g",
);
const TAGGED =
  /^(?:<ref>([^<]{0,400})<\/ref>\s*)?((?:<box>[\d\s.,()[\]]{1,2000}<\/box>[\s,;]{0,3})+)/;
const BARE = new RegExp(String.raw`^\[\s*(${N})\s*,\s*(${N})\s*,\s*(${N})\s*,\s*(${N})\s*\]`);
/** Where a box may begin. */
export const BOX_START = /<ref>|<box>|\[\s*\d/;

export interface Tagged {
  readonly raw: string;
  readonly label: string;
  readonly boxes: readonly Box[];
}

/** Boxes at the beginning of a text. */
export function boxesAt(text: string): Tagged | null {
  const tagged = TAGGED.exec(text);
  if (tagged) {
    const boxes = corners(tagged[2] ?? "");
    if (boxes.length) {
      return { raw: tagged[0].trimEnd(), label: (tagged[1] ?? "").trim(), boxes };
    }
  }
  const named = /^<ref>([^<]{0,400})<\/ref>/.exec(text);
  if (named) return { raw: named[0], label: (named[1] ?? "").trim(), boxes: [] };
  const bare = BARE.exec(text);
  if (!bare) return null;
  const box = boxOf(bare.slice(1, 5));
  // Four numbers that grow pairwise; small ones are more likely a list of something else.
  return box && Math.max(...box) >= 20 ? { raw: bare[0], label: "", boxes: [box] } : null;
}

/** All boxes of a text that holds nothing else. */
export function corners(text: string): Box[] {
  const found: Box[] = [];
  for (const match of text.matchAll(CORNERS)) {
    const numbers = match[1] === undefined ? match.slice(5, 9) : match.slice(1, 5);
    const box = boxOf(numbers);
    if (box) found.push(box);
  }
  return found;
}

/** Four values as a box, if they can be one. */
export function boxOf(values: readonly unknown[]): Box | null {
  if (values.length !== 4) return null;
  const [x1, y1, x2, y2] = values.map((v) => (typeof v === "string" ? Number(v) : v));
  if (![x1, y1, x2, y2].every((v) => typeof v === "number" && Number.isFinite(v) && v >= 0)) {
    return null;
  }
  const box = [x1, y1, x2, y2] as unknown as Box;
  return box[2] > box[0] && box[3] > box[1] ? box : null;
}

/** Corners as shares: thousandths by rule, fractions and pixels when the numbers say so. */
export function regionOf(box: Box, size: Size | null): Region | null {
  const [x1, y1, x2, y2] = box;
  const largest = Math.max(...box);
  let scaleX = 1000;
  let scaleY = 1000;
  if (largest <= 1) {
    scaleX = scaleY = 1;
  } else if (largest > 1000) {
    if (!size || x2 > size.width * 1.02 || y2 > size.height * 1.02) return null;
    scaleX = size.width;
    scaleY = size.height;
  }
  const clamp = (value: number): number => Math.min(1, Math.max(0, value));
  const left = clamp(x1 / scaleX);
  const top = clamp(y1 / scaleY);
  return { left, top, width: clamp(x2 / scaleX) - left, height: clamp(y2 / scaleY) - top };
}

const BOX_KEYS = new Set(["box", "bbox", "bbox_2d", "bounding_box", "region"]);
const LABEL_KEYS = ["label", "name", "field", "text", "title", "ref", "description"];

/** Boxes inside parsed JSON, labelled by what stands beside or above them. */
export function marksInJson(value: unknown, first = 0): Mark[] {
  const marks: Mark[] = [];
  const add = (given: unknown, label: string, page: number | null, image: number | null): void => {
    const lists = Array.isArray(given) && Array.isArray(given[0]) ? given : [given];
    for (const list of lists) {
      const box = Array.isArray(list) ? boxOf(list) : typeof list === "string" ? corners(list)[0] : null;
      if (box) marks.push({ id: first + marks.length, label, box, image, page });
    }
  };
  const walk = (node: unknown, path: string): void => {
    if (Array.isArray(node)) {
      node.forEach((item, index) => walk(item, `${path}[${index + 1}]`));
      return;
    }
    if (typeof node !== "object" || node === null) return;
    const object = node as Record<string, unknown>;
    const named = LABEL_KEYS.map((k) => object[k]).find((v) => typeof v === "string" && v);
    const page = wholeNumber(object["page"]);
    const image = wholeNumber(object["image"]);
    for (const [key, inner] of Object.entries(object)) {
      if (BOX_KEYS.has(key)) add(inner, typeof named === "string" ? named : path, page, image);
      else walk(inner, path ? `${path}.${key}` : key);
    }
  };
  walk(value, "");
  return marks;
}

function wholeNumber(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : null;
}
