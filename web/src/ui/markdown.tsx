// The tree of an answer as elements. Every element is made here by name; nothing is ever set as HTML.
import { memo } from "preact/compat";
import type { JSX } from "preact";
import { useContext } from "preact/hooks";
import { show } from "../state/app.ts";
import type { Block, Cell, Inline } from "../text/nodes.ts";
import { clock } from "../text/times.ts";
import { csvLine, grid } from "../text/exports.ts";
import { plainText } from "../text/nodes.ts";
import { IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";
import { latest, Links, timeTarget } from "./links.ts";
import { Formula } from "./formula.tsx";
import { copy } from "./save.ts";

export function Blocks({ blocks }: { blocks: readonly Block[] }): JSX.Element {
  return (
    <>
      {blocks.map((block, index) => (
        <BlockView key={index} block={block} />
      ))}
    </>
  );
}

// Blocks that did not change while an answer grows are not drawn again.
const BlockView = memo(
  ({ block }: { block: Block }) => drawn(block),
  (a, b) => a.block === b.block || JSON.stringify(a.block) === JSON.stringify(b.block),
);

function drawn(block: Block): JSX.Element {
  switch (block.type) {
    case "paragraph":
      return <p><Inlines nodes={block.children} /></p>;
    case "heading": {
      // The page's own headings come first; an answer's begin below them.
      const Tag = `h${Math.min(6, block.depth + 2)}` as "h3";
      return <Tag class={`level-${block.level}`}><Inlines nodes={block.children} /></Tag>;
    }
    case "code":
      return <Code language={block.language} text={block.text} />;
    case "math":
      return <Formula text={block.text} display />;
    case "quote":
      return <blockquote><Blocks blocks={block.children} /></blockquote>;
    case "rule":
      return <hr />;
    case "table":
      return <Table rows={block.rows} />;
    case "list": {
      const items = block.items.map((item, index) => (
        <li key={index} class={item.checked === null ? "" : "task"}>
          {item.checked !== null && (
            <input type="checkbox" checked={item.checked} disabled aria-label={item.checked ? "done" : "open"} />
          )}
          {tight(item.children)}
        </li>
      ));
      return block.start === null ? <ul>{items}</ul> : <ol start={block.start}>{items}</ol>;
    }
  }
}

/** The text of an item without a paragraph around it. */
function tight(blocks: readonly Block[]): JSX.Element {
  const [first, ...rest] = blocks;
  if (first?.type !== "paragraph") return <Blocks blocks={blocks} />;
  return (
    <>
      <Inlines nodes={first.children} />
      <Blocks blocks={rest} />
    </>
  );
}

export function Code({ language, text }: { language: string; text: string }): JSX.Element {
  return (
    <div class="code">
      <div class="code-head">
        <span>{language || "text"}</span>
        <IconButton icon="copy" label="Copy code" size={15} onClick={() => void copy(text)} />
      </div>
      <pre tabIndex={0}><code>{text}</code></pre>
    </div>
  );
}

function Table({ rows }: { rows: readonly (readonly Cell[])[] }): JSX.Element {
  const asCsv = (): string =>
    grid(rows.map((row) => row.map((c) => ({ ...c, text: plainText(c.children) })))).map(csvLine).join("\r\n");
  return (
    <div class="table">
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Table">
        <table>
          <tbody>
            {rows.map((row, r) => (
              <tr key={r}>
                {row.map((cell, c) => {
                  const Tag = cell.header ? "th" : "td";
                  return (
                    <Tag
                      key={c}
                      scope={cell.header ? "col" : undefined}
                      class={cell.align ? `to-${cell.align}` : undefined}
                      colSpan={cell.columns > 1 ? cell.columns : undefined}
                      rowSpan={cell.rows > 1 ? cell.rows : undefined}
                    >
                      <Inlines nodes={cell.children} />
                    </Tag>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <button type="button" class="table-copy" onClick={() => void copy(asCsv())}>
        <Icon name="copy" size={14} /> Copy as CSV
      </button>
    </div>
  );
}

function Inlines({ nodes }: { nodes: readonly Inline[] }): JSX.Element {
  return <>{nodes.map((node, index) => <InlineView key={index} node={node} />)}</>;
}

function InlineView({ node }: { node: Inline }): JSX.Element {
  switch (node.type) {
    case "text":
      return <>{node.text}</>;
    case "strong":
      return <strong><Inlines nodes={node.children} /></strong>;
    case "em":
      return <em><Inlines nodes={node.children} /></em>;
    case "del":
      return <del><Inlines nodes={node.children} /></del>;
    case "code":
      return <code>{node.text}</code>;
    case "math":
      return <Formula text={node.text} />;
    case "break":
      return <br />;
    case "link":
      return (
        <a href={node.href} target="_blank" rel="noopener noreferrer nofollow">
          <Inlines nodes={node.children} />
        </a>
      );
    case "picture":
      return <RemotePicture text={node.text} href={node.href} />;
    case "time":
      return <Time text={node.text} start={node.start} />;
    case "page":
      return <Page text={node.text} page={node.page} />;
    case "boxes":
      return <BoxLinks label={node.label} count={node.boxes.length} first={node.first} />;
  }
}

/** A picture of an answer is not loaded: its address could carry away what the answer says. */
function RemotePicture({ text, href }: { text: string; href: string }): JSX.Element {
  const label = `${text} (picture not loaded)`;
  if (!href) return <span class="remote"><Icon name="image" size={14} /> {label}</span>;
  return (
    <a class="remote" href={href} target="_blank" rel="noopener noreferrer nofollow">
      <Icon name="image" size={14} /> {label}
    </a>
  );
}

function Time({ text, start }: { text: string; start: number }): JSX.Element {
  const { attachments } = useContext(Links);
  const target = timeTarget(attachments, start);
  if (!target) return <>{text}</>;
  return (
    <button
      type="button"
      class="chip time"
      title={`Play ${target.name} from ${clock(start)}`}
      onClick={() => show(target.id, { seekS: start })}
    >
      <span class="play" aria-hidden="true" />
      {text}
    </button>
  );
}

function Page({ text, page }: { text: string; page: number }): JSX.Element {
  const { attachments } = useContext(Links);
  const target = latest(attachments, "pdf");
  if (!target) return <>{text}</>;
  return (
    <button
      type="button"
      class="chip page"
      title={`Open page ${page} of ${target.name}`}
      onClick={() => show(target.id, { page })}
    >
      {text}
    </button>
  );
}

function BoxLinks(props: { label: string; count: number; first: number }): JSX.Element {
  const { hover, setHover, marks } = useContext(Links);
  const ids = Array.from({ length: props.count }, (_, i) => props.first + i);
  if (!ids.length) return <>{props.label}</>;
  const box = marks[props.first]?.box;
  const label = props.label || (box ? `[${box.join(", ")}]` : "box");
  return (
    <>
      {ids.map((id, index) => (
        <button
          type="button"
          key={id}
          class={`chip box hue-${id % 6}${hover === id ? " lit" : ""}`}
          onMouseEnter={() => setHover(id)}
          onMouseLeave={() => setHover(null)}
          onFocus={() => setHover(id)}
          onBlur={() => setHover(null)}
          onClick={() => setHover(id)}
        >
          <span class="swatch" aria-hidden="true" />
          {index ? `${index + 1}` : label}
        </button>
      ))}
    </>
  );
}
