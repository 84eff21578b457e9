// An answer's text to its tree: Markdown, formulas, tables, and links into media.
import type { Tokens } from "marked";
import { marksInJson, type Box, type Mark } from "./boxes.ts";
import { lex, type CellToken } from "./grammar.ts";
import { decoded, safeHref } from "./links.ts";
import { inlines, type Align, type Block, type Cell, type Inline, type ListItem } from "./nodes.ts";
import { findTimes } from "./times.ts";

export interface Parsed {
  readonly blocks: readonly Block[];
  readonly marks: readonly Mark[];
}

type Token = Tokens.Generic;
type Children = readonly Token[] | undefined;

const PAGE = /\b(?:page|p\.|pages|pp\.)\s?(\d{1,4})(?!\d)/gi;
const MENTION = /\b(?:(image|picture|photo|figure)|(page|p\.))\s*#?(\d{1,4})\b/gi;
const ORDINAL = /\b(first|second|left|right)\s+(?:image|picture|photo)\b/gi;
/** A tag of ours that has only begun. */
const BEGUN = /<(?:r|re|ref|b|bo|box)$/;
const LONGEST_TAG = 1000;

/**
 * The tree of an answer.
 *
 * @param source What the model wrote.
 * @param streaming Whether more is to come; a tag that has only begun is held back then.
 */
export function parseAnswer(source: string, streaming = false): Parsed {
  const text = streaming ? settled(source) : source;
  const blocks = lex(text).flatMap(block);
  outlined(blocks);
  return { blocks, marks: numbered(blocks) };
}

/** What comes before a phrase or box that is still being written. */
function settled(source: string): string {
  const from = Math.max(0, source.length - LONGEST_TAG);
  const tail = source.slice(from);
  const open = /<ref>[^<]*(?:<\/?r?e?f?>?\s*)?(?:<(?:b|bo|box)?|<box>[^<]*(?:<\/?b?o?x?)?)?$|<box>[^<]*(?:<\/?b?o?x?)?$/.exec(tail);
  return open ? source.slice(0, from + open.index) : source.replace(BEGUN, "");
}

function block(token: Token): Block[] {
  switch (token.type) {
    case "heading":
      return [{ type: "heading", level: Number(token["depth"]), depth: 1, children: inline(token.tokens) }];
    case "paragraph":
    case "text":
      return [{ type: "paragraph", children: inline(token.tokens ?? [token]) }];
    case "code":
      return [{ type: "code", language: word(token["lang"]), text: String(token["text"]) }];
    case "displayMath":
      return [{ type: "math", text: String(token["text"]) }];
    case "blockquote":
      return [{ type: "quote", children: (token.tokens ?? []).flatMap(block) }];
    case "list":
      return [list(token as unknown as Tokens.List)];
    case "table":
      return [table(token as unknown as Tokens.Table)];
    case "otherTable":
      return [otherTable(token["cells"] as CellToken[][])];
    case "hr":
      return [{ type: "rule" }];
    case "space":
      return [];
    default:
      return [{ type: "paragraph", children: [{ type: "text", text: String(token.raw) }] }];
  }
}

function list(token: Tokens.List): Block {
  const items = token.items.map((item): ListItem => {
    // A box to tick stands in a token of its own; the item says whether it is ticked.
    const inner = item.tokens.filter((t) => t.type !== "checkbox") as unknown as Token[];
    return {
      checked: item.task ? Boolean(item.checked) : null,
      children: inner.flatMap(block),
    };
  });
  return { type: "list", start: token.ordered ? Number(token.start || 1) : null, items };
}

function table(token: Tokens.Table): Block {
  const cell = (given: Tokens.TableCell, header: boolean): Cell => ({
    children: inline(given.tokens as unknown as Token[]),
    header,
    align: (given.align ?? null) as Align,
    columns: 1,
    rows: 1,
  });
  const body = token.rows.map((row) => row.map((c) => cell(c, false)));
  return { type: "table", rows: [token.header.map((c) => cell(c, true)), ...body] };
}

function otherTable(rows: CellToken[][]): Block {
  const cell = (given: CellToken): Cell => ({
    children: inline(given.tokens),
    header: given.header,
    align: null,
    columns: given.columns,
    rows: given.rows,
  });
  return { type: "table", rows: rows.map((row) => row.map(cell)) };
}

function inline(tokens: Children): Inline[] {
  return (tokens ?? []).flatMap(inlineOf);
}

function inlineOf(token: Token): Inline[] {
  switch (token.type) {
    case "strong":
    case "em":
    case "del":
      return [{ type: token.type, children: inline(token.tokens) }];
    case "codespan":
      return [{ type: "code", text: String(token["text"]) }];
    case "inlineMath":
      return [{ type: "math", text: String(token["text"]) }];
    case "br":
      return [{ type: "break" }];
    case "link":
      return link(token);
    case "image":
      return picture(token);
    case "boxes":
      return [
        {
          type: "boxes",
          label: decoded(String(token["label"])),
          boxes: token["boxes"] as readonly Box[],
          first: 0,
        },
      ];
    case "text":
      return token.tokens ? inline(token.tokens) : pieces(decoded(String(token["text"])));
    case "escape":
      return [{ type: "text", text: String(token["text"]) }];
    default:
      return [{ type: "text", text: String(token.raw) }];
  }
}

function link(token: Token): Inline[] {
  const children = inline(token.tokens);
  const href = safeHref(String(token["href"]));
  return href ? [{ type: "link", href, children }] : children;
}

function picture(token: Token): Inline[] {
  const href = safeHref(String(token["href"]));
  return [{ type: "picture", text: String(token["text"] || "picture"), href: href ?? "" }];
}

/** Text with its times and pages picked out. */
function pieces(text: string): Inline[] {
  const found: { index: number; length: number; node: Inline }[] = findTimes(text).map((t) => ({
    index: t.index,
    length: t.text.length,
    node: { type: "time", text: t.text, start: t.start, end: t.end },
  }));
  for (const match of text.matchAll(PAGE)) {
    const node: Inline = { type: "page", text: match[0], page: Number(match[1]) };
    found.push({ index: match.index, length: match[0].length, node });
  }
  found.sort((a, b) => a.index - b.index);
  const nodes: Inline[] = [];
  let from = 0;
  for (const { index, length, node } of found) {
    if (index < from) continue;
    if (index > from) nodes.push({ type: "text", text: text.slice(from, index) });
    nodes.push(node);
    from = index + length;
  }
  if (from < text.length) nodes.push({ type: "text", text: text.slice(from) });
  return nodes;
}

/** Depths without gaps, whatever levels were written. */
function outlined(blocks: readonly Block[]): void {
  const above: number[] = [];
  for (const heading of blocks) {
    if (heading.type !== "heading") continue;
    while ((above.at(-1) ?? 0) >= heading.level) above.pop();
    above.push(heading.level);
    heading.depth = above.length;
  }
}

/** Give every box its number, and say which picture or page the text around it speaks of. */
function numbered(blocks: readonly Block[]): Mark[] {
  const marks: Mark[] = [];
  let image: number | null = null;
  let page: number | null = null;
  let words = "";
  for (const top of blocks) {
    words = "";
    for (const node of inlines([top])) {
      if (node.type === "page") page = node.page;
      if (node.type === "text" || node.type === "page") {
        image = mentioned(node.text) ?? image;
        words += node.text;
      }
      if (node.type !== "boxes") continue;
      image = mentioned(node.label) ?? image;
      node.first = marks.length;
      const label = node.label || before(words);
      words = "";
      for (const box of node.boxes) marks.push({ id: marks.length, label, box, image, page });
    }
  }
  for (const node of blocks) {
    if (node.type !== "code" || !/^(json)?$/i.test(node.language)) continue;
    marks.push(...marksInJson(maybeJson(node.text), marks.length));
  }
  return marks;
}

function mentioned(text: string): number | null {
  let last: { index: number; image: number } | null = null;
  for (const match of text.matchAll(MENTION)) {
    if (match[1]) last = { index: match.index, image: Number(match[3]) };
  }
  for (const match of text.matchAll(ORDINAL)) {
    const image = /first|left/i.test(match[1] ?? "") ? 1 : 2;
    if (!last || match.index > last.index) last = { index: match.index, image };
  }
  return last?.image ?? null;
}

/** The last words in front of a box without a label of its own. */
function before(words: string): string {
  const clean = words.replace(/[\s:;,(\-\u2013\u2014]+$/, "");
  return clean.split(/[.;\n]/).at(-1)?.trim().split(/\s+/).slice(-5).join(" ") ?? "";
}

function maybeJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function word(value: unknown): string {
  return typeof value === "string" ? (/^[\w+#.-]*/.exec(value)?.[0] ?? "") : "";
}
