// An answer that is JSON: its fields, its rows as a table, its text.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isObject } from "../api/errors.ts";
import { records } from "../text/exports.ts";
import { Code } from "./markdown.tsx";

type Tab = "Fields" | "Table" | "JSON";

export function JsonView({ value, text }: { value: unknown; text: string }): JSX.Element {
  const rows = tableRows(value);
  const [tab, setTab] = useState<Tab>("Fields");
  const tabs: readonly Tab[] = rows ? ["Fields", "Table", "JSON"] : ["Fields", "JSON"];
  return (
    <div class="json">
      <div class="tabs" role="group" aria-label="How the result is shown">
        {tabs.map((name) => (
          <button type="button" key={name} aria-pressed={tab === name} onClick={() => setTab(name)}>
            {name}
          </button>
        ))}
      </div>
      {tab === "Fields" && <div class="json-tree"><Value value={value} /></div>}
      {tab === "Table" && rows && <Rows rows={rows} />}
      {tab === "JSON" && <Code language="json" text={pretty(value, text)} />}
    </div>
  );
}

function pretty(value: unknown, text: string): string {
  return value === undefined ? text : JSON.stringify(value, null, 2);
}

function Value({ value }: { value: unknown }): JSX.Element {
  if (Array.isArray(value)) {
    if (value.every((v) => typeof v !== "object" || v === null)) {
      return <span class="json-list">{value.length ? value.map(leaf).join(", ") : "none"}</span>;
    }
    return (
      <ol class="json-items">
        {value.map((item: unknown, index) => <li key={index}><Value value={item} /></li>)}
      </ol>
    );
  }
  if (isObject(value)) {
    return (
      <dl>
        {Object.entries(value).map(([name, inner]) => (
          <div key={name} class={isNested(inner) ? "nested" : ""}>
            <dt>{name}</dt>
            <dd><Value value={inner} /></dd>
          </div>
        ))}
      </dl>
    );
  }
  return <span class={`json-leaf ${value === null ? "null" : typeof value}`}>{leaf(value)}</span>;
}

/** Whether a value needs lines of its own. */
function isNested(value: unknown): boolean {
  return Array.isArray(value) ? value.some((v) => typeof v === "object" && v !== null) : isObject(value);
}

function leaf(value: unknown): string {
  if (value === null) return "nothing";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

/** The first list of objects in a value, which is what people want in rows. */
function tableRows(value: unknown): Record<string, unknown>[] | null {
  const lists = [records(value), ...(isObject(value) ? Object.values(value).filter(Array.isArray) : [])];
  const found = lists.find((list) => list.length > 1 && list.every(isObject));
  return (found as Record<string, unknown>[] | undefined) ?? null;
}

function Rows({ rows }: { rows: readonly Record<string, unknown>[] }): JSX.Element {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Rows">
      <table>
        <thead>
          <tr>
            {names.map((name) => (
              <th key={name} scope="col" class={rows.every((row) => typeof row[name] === "number") ? "to-right" : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {names.map((name) => (
                <td key={name} class={typeof row[name] === "number" ? "to-right" : undefined}>
                  {typeof row[name] === "object" && row[name] !== null
                    ? JSON.stringify(row[name])
                    : leaf(row[name] ?? null)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
