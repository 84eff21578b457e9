// An answer as a tree of plain data. There is no node for raw HTML and none that loads a picture,
// so whatever a model writes, nothing but these can be shown.
import type { Box } from "./boxes.ts";

export type Inline =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "strong" | "em" | "del"; readonly children: readonly Inline[] }
  | { readonly type: "code" | "math"; readonly text: string }
  | { readonly type: "link"; readonly href: string; readonly children: readonly Inline[] }
  | { readonly type: "picture"; readonly text: string; readonly href: string }
  | { readonly type: "break" }
  | { readonly type: "time"; readonly text: string; readonly start: number; readonly end: number | null }
  | { readonly type: "page"; readonly text: string; readonly page: number }
  | { readonly type: "boxes"; readonly label: string; readonly boxes: readonly Box[]; first: number };

export type Align = "left" | "right" | "center" | null;

export interface Cell {
  readonly children: readonly Inline[];
  readonly header: boolean;
  readonly align: Align;
  readonly columns: number;
  readonly rows: number;
}

export interface ListItem {
  readonly checked: boolean | null;
  readonly children: readonly Block[];
}

export interface Heading {
  readonly type: "heading";
  /** How large it was written, 1 to 6. */
  readonly level: number;
  /** How many headings stand above it in the outline, itself included. */
  depth: number;
  readonly children: readonly Inline[];
}

export type Block =
  | { readonly type: "paragraph"; readonly children: readonly Inline[] }
  | Heading
  | { readonly type: "code"; readonly language: string; readonly text: string }
  | { readonly type: "math"; readonly text: string }
  | { readonly type: "quote"; readonly children: readonly Block[] }
  | { readonly type: "list"; readonly start: number | null; readonly items: readonly ListItem[] }
  | { readonly type: "table"; readonly rows: readonly (readonly Cell[])[] }
  | { readonly type: "rule" };

/** What a reader sees of inline nodes, without any marks. */
export function plainText(nodes: readonly Inline[]): string {
  return nodes
    .map((node) => {
      switch (node.type) {
        case "strong":
        case "em":
        case "del":
        case "link":
          return plainText(node.children);
        case "break":
          return "\n";
        case "boxes":
          return node.label;
        default:
          return node.text;
      }
    })
    .join("");
}

/** Every inline node of a tree, in reading order. */
export function* inlines(blocks: readonly Block[]): Generator<Inline> {
  for (const block of blocks) {
    if (block.type === "paragraph" || block.type === "heading") yield* within(block.children);
    else if (block.type === "quote") yield* inlines(block.children);
    else if (block.type === "list") for (const item of block.items) yield* inlines(item.children);
    else if (block.type === "table")
      for (const row of block.rows) for (const cell of row) yield* within(cell.children);
  }
}

function* within(nodes: readonly Inline[]): Generator<Inline> {
  for (const node of nodes) {
    yield node;
    if ("children" in node) yield* within(node.children);
  }
}

/** Every table of a tree. */
export function tables(blocks: readonly Block[]): Extract<Block, { type: "table" }>[] {
  return blocks.flatMap((block) => {
    if (block.type === "table") return [block];
    if (block.type === "quote") return tables(block.children);
    if (block.type === "list") return block.items.flatMap((item) => tables(item.children));
    return [];
  });
}
