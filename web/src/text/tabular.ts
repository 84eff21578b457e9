// Tables in the forms models write besides Markdown: LaTeX tabular and plain HTML tables, as rows of
// text. Nothing but rows, cells and their spans is taken over.

export interface RawCell {
  readonly text: string;
  readonly header: boolean;
  readonly columns: number;
  readonly rows: number;
}

const RULES = /\\(?:hline|toprule|midrule|bottomrule)\b|\\(?:cline|cmidrule)(?:\([^)]*\))?\{[^}]*\}/g;
const MAX_SPAN = 100;

/** Rows of the inside of a tabular; the text between the environment's braces and its end. */
export function latexRows(body: string): RawCell[][] {
  const headed = /\\(?:hline|midrule)/.test(body);
  const rows = split(body, "\\\\")
    .map((row) => row.replace(RULES, "").trim())
    .filter((row) => row !== "");
  return rows.map((row, index) =>
    split(row, "&").map((cell) => latexCell(cell.trim(), headed && index === 0)),
  );
}

function latexCell(source: string, header: boolean): RawCell {
  let text = source;
  let columns = 1;
  let rows = 1;
  for (;;) {
    const span = /^\\(multicolumn|multirow)\{(\d+)\}\s*(?:\{[^}]*\}|\[[^\]]*\])*?\{[^{}]*\}\s*\{([\s\S]*)\}$/.exec(text);
    if (!span) break;
    const count = Math.min(MAX_SPAN, Math.max(1, Number(span[2])));
    if (span[1] === "multicolumn") columns = count;
    else rows = count;
    text = (span[3] ?? "").trim();
  }
  return { text: latexText(text), header, columns, rows };
}

/** LaTeX of a cell to Markdown; formulas stay as they are. */
export function latexText(source: string): string {
  return source
    .split(/(\$[^$]*\$)/)
    .map((piece, index) => {
      if (index % 2) return piece;
      let text = piece;
      for (let before = ""; before !== text; ) {
        before = text;
        text = text
          .replace(/\\textbf\{([^{}]*)\}/g, "**$1**")
          .replace(/\\(?:textit|emph)\{([^{}]*)\}/g, "*$1*")
          .replace(/\\texttt\{([^{}]*)\}/g, "`$1`")
          .replace(/\\(?:text|textrm|textsc|mbox|makecell)\{([^{}]*)\}/g, "$1");
      }
      return text.replace(/\\([&%$#_{}])/g, "$1").replaceAll("~", " ").replaceAll("\\newline", " ");
    })
    .join("");
}

/** Split at a separator that stands outside braces and is not escaped. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(from, at));
      at += separator.length - 1;
      from = at + 1;
    } else if (char === "\\") at += 1;
    else if (char === "{") depth += 1;
    else if (char === "}") depth = Math.max(0, depth - 1);
  }
  parts.push(text.slice(from));
  return parts;
}

/** Rows of an HTML table; any other tag inside it is dropped, its text kept. */
export function htmlRows(source: string): RawCell[][] {
  const rows: RawCell[][] = [];
  let cell: { text: string; header: boolean; columns: number; rows: number } | null = null;
  const close = (): void => {
    if (cell) rows.at(-1)?.push({ ...cell, text: cell.text.replace(/\s+/g, " ").trim() });
    cell = null;
  };
  for (const match of source.matchAll(/<(\/?)(\w+)([^<>]*)>|([^<]+)|</g)) {
    const [whole, slash, name = "", attributes = "", text] = match;
    const tag = name.toLowerCase();
    if (text !== undefined || whole === "<") {
      if (cell) cell.text += text ?? whole;
    } else if (tag === "tr") {
      close();
      if (!slash) rows.push([]);
    } else if (tag === "td" || tag === "th") {
      close();
      if (!slash) {
        if (!rows.length) rows.push([]);
        cell = {
          text: "",
          header: tag === "th",
          columns: spanOf(attributes, "colspan"),
          rows: spanOf(attributes, "rowspan"),
        };
      }
    } else if (tag === "br" && cell) cell.text += " ";
  }
  close();
  return rows.filter((row) => row.length);
}

function spanOf(attributes: string, name: string): number {
  const value = Number(new RegExp(`${name}\\s*=\\s*["']?(\\d+)`, "i").exec(attributes)?.[1] ?? 1);
  return Math.min(MAX_SPAN, Math.max(1, value));
}
