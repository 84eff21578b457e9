// Answers in other forms: tables as CSV, JSON as CSV, everything as a JSON record.
import { plainText, tables, type Block } from "./nodes.ts";

/** Tables of an answer as CSV, an empty line between them; spans repeat nothing. */
export function tablesCsv(blocks: readonly Block[]): string {
  return tables(blocks)
    .map((table) =>
      grid(table.rows.map((row) => row.map((c) => ({ ...c, text: plainText(c.children) }))))
        .map(csvLine)
        .join("\r\n"),
    )
    .join("\r\n\r\n");
}

interface Spanned {
  readonly text: string;
  readonly columns: number;
  readonly rows: number;
}

/** Cells at their columns; what a span covers is empty. */
export function grid(rows: readonly (readonly Spanned[])[]): string[][] {
  const made: string[][] = rows.map(() => []);
  rows.forEach((row, r) => {
    let column = 0;
    for (const cell of row) {
      while (made[r]?.[column] !== undefined) column += 1;
      for (let down = 0; down < cell.rows && r + down < made.length; down += 1) {
        for (let right = 0; right < cell.columns; right += 1) {
          const line = made[r + down];
          if (line) line[column + right] = down || right ? "" : cell.text;
        }
      }
      column += cell.columns;
    }
  });
  const width = Math.max(0, ...made.map((row) => row.length));
  return made.map((row) => Array.from({ length: width }, (_, i) => row[i] ?? ""));
}

/** Quoted where needed; what a spreadsheet would run as a formula is kept as text. */
export function csvLine(cells: readonly string[]): string {
  return cells
    .map((cell) => {
      const safe = /^[=+@\t]|^-(?![\d.,\s]*$)/.test(cell) ? `'${cell}` : cell;
      return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    })
    .join(",");
}

/** JSON as CSV: a list of objects row by row, anything else as one row of leaves. */
export function jsonCsv(value: unknown): string {
  const rows = records(value).map((record) => new Map(leaves(record, "")));
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const lines = rows.map((row) => csvLine(names.map((name) => row.get(name) ?? "")));
  return [csvLine(names), ...lines].join("\r\n");
}

/** The list of objects a value is, or holds as its only one; else the value itself. */
export function records(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "object" && value !== null) {
    const lists = Object.values(value).filter(
      (v) => Array.isArray(v) && v.length > 0 && v.every((i) => typeof i === "object" && i !== null),
    );
    if (lists.length === 1 && Object.keys(value).length === 1) return lists[0] as unknown[];
  }
  return [value];
}

function leaves(value: unknown, path: string): [string, string][] {
  if (typeof value !== "object" || value === null) {
    return [[path || "value", value === null ? "" : String(value)]];
  }
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? `${path}.${key}` : key));
}
