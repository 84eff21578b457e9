// What answers hold beyond Markdown, as rules for the lexer: formulas, boxes, tables of LaTeX and
// HTML. Raw HTML is no rule at all: it stays text.
import { Marked, type TokenizerExtension, type Tokens } from "marked";
import { boxesAt, BOX_START } from "./boxes.ts";
import { htmlRows, latexRows, type RawCell } from "./tabular.ts";

const ENVIRONMENTS = "equation|align|aligned|gather|multline|eqnarray|cases|[pbvB]?matrix|array";
const DISPLAY = new RegExp(
  String.raw`^ {0,3}(?:\$\$([\s\S]{1,20000}?)\$\$|\\\[([\s\S]{1,20000}?)\\\]|` +
    String.raw`(\\begin\{(${ENVIRONMENTS})(\*?)\}[\s\S]{1,20000}?\\end\{\4\5\}))[ \t]*(?=\n|$)`,
);
const INLINE_MATH =
  /^(?:\$\$([^$]{1,5000})\$\$|\$(?![\s$\d])((?:\\.|[^$\\\n]){0,2000}(?:\\.|[^$\\\s]))\$(?!\d)|\$(\d(?:\\.|[^$\\\n]){0,2000}[\\^_={}](?:\\.|[^$\\\n]){0,2000})\$(?!\d)|\\\(([\s\S]{1,5000}?)\\\)|\\\[([\s\S]{1,5000}?)\\\])/;
const TABULAR =
  /^ {0,3}\\begin\{(tabularx?|tabulary|longtable)\}(?:\[[^\]]*\])?(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}){1,2}([\s\S]{1,100000}?)\\end\{\1\}[ \t]*(?:\n|$)/;
const HTML_TABLE = /^ {0,3}<table\b[^<>]*>([\s\S]{1,100000}?)<\/table>[ \t]*(?:\n|$)/i;

const displayMath: TokenizerExtension = {
  name: "displayMath",
  level: "block",
  start: (src) => lineStart(src, /\n(?= {0,3}(?:\$\$|\\\[|\\begin\{))/),
  tokenizer(src) {
    const match = DISPLAY.exec(src);
    if (!match) return undefined;
    const text = (match[1] ?? match[2] ?? environment(match[3] ?? "")).trim();
    return { type: "displayMath", raw: match[0], text };
  },
};

const inlineMath: TokenizerExtension = {
  name: "inlineMath",
  level: "inline",
  start: (src) => index(src, /\$|\\\(|\\\[/),
  tokenizer(src) {
    const match = INLINE_MATH.exec(src);
    if (!match) return undefined;
    const text = match.slice(1).find((group) => group !== undefined) ?? "";
    return { type: "inlineMath", raw: match[0], text: text.trim() };
  },
};

const boxes: TokenizerExtension = {
  name: "boxes",
  level: "inline",
  start: (src) => index(src, BOX_START),
  tokenizer(src) {
    const found = boxesAt(src);
    return found ? { type: "boxes", ...found } : undefined;
  },
};

const lineBreak: TokenizerExtension = {
  name: "lineBreak",
  level: "inline",
  start: (src) => index(src, /<br/i),
  tokenizer(src) {
    const match = /^<br\s*\/?>/i.exec(src);
    return match ? { type: "br", raw: match[0] } : undefined;
  },
};

const otherTables: TokenizerExtension = {
  name: "otherTable",
  level: "block",
  start: (src) => lineStart(src, /\n(?= {0,3}(?:\\begin\{(?:tabular|longtable)|<table\b))/i),
  tokenizer(src) {
    const latex = TABULAR.exec(src);
    const html = latex ? null : HTML_TABLE.exec(src);
    const raw = (latex ?? html)?.[0];
    if (raw === undefined) return undefined;
    const rows: RawCell[][] = latex ? latexRows(latex[2] ?? "") : htmlRows(html?.[1] ?? "");
    return {
      type: "otherTable",
      raw,
      cells: rows.map((row) =>
        row.map((cell) => ({ ...cell, tokens: this.lexer.inlineTokens(cell.text, []) })),
      ),
    };
  },
};

function environment(source: string): string {
  // Environments that number lines make a page of their own elsewhere; here they are aligned rows.
  return source
    .replace(/^\\begin\{equation\*?\}|\\end\{equation\*?\}$/g, "")
    .replace(/\{(?:align|eqnarray)\*?\}/g, "{aligned}")
    .replace(/\{(?:gather|multline)\*?\}/g, "{gathered}");
}

function lineStart(src: string, pattern: RegExp): number | undefined {
  const at = src.search(pattern);
  return at < 0 ? undefined : at + 1;
}

function index(src: string, pattern: RegExp): number | undefined {
  const at = src.search(pattern);
  return at < 0 ? undefined : at;
}

const marked = new Marked({
  gfm: true,
  breaks: false,
  extensions: [displayMath, otherTables, boxes, inlineMath, lineBreak],
  tokenizer: {
    html: () => undefined,
    tag: () => undefined,
    // Four spaces make no code: answers indent for other reasons.
    code: () => undefined,
    // Definitions would turn words elsewhere into links.
    def: () => undefined,
  },
});

export type CellToken = RawCell & { readonly tokens: readonly Tokens.Generic[] };

/** Deeper quotes than anybody reads; the lexer calls itself once for each of them. */
const DEEP_QUOTE = /^((?:[ \t]*>){8})(?:[ \t]*>)+/gm;

/** Tokens of an answer; text that is nested beyond reason stays text. */
export function lex(source: string): readonly Tokens.Generic[] {
  try {
    return marked.lexer(source.replace(DEEP_QUOTE, "$1")) as readonly Tokens.Generic[];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ type: "paragraph", raw: source, text: source, tokens: [{ type: "escape", raw: source, text: source }] }];
  }
}
