// A small table of fields to a JSON schema, and back where a schema is as simple as that.
import { isObject } from "../api/errors.ts";

export const TYPES = ["text", "number", "whole number", "yes or no", "date", "box", "object"] as const;
export type FieldType = (typeof TYPES)[number];

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly list: boolean;
  readonly required: boolean;
  readonly description: string;
  readonly fields: readonly Field[];
}

export interface NamedSchema {
  readonly name: string;
  readonly fields: readonly Field[];
}

const SIMPLE: Readonly<Record<Exclude<FieldType, "object" | "date" | "box">, string>> = {
  text: "string",
  number: "number",
  "whole number": "integer",
  "yes or no": "boolean",
};
const BOX_HINT = "Corners x1, y1, x2, y2, each 0 to 1000";

export function newField(name = ""): Field {
  return { name, type: "text", list: false, required: true, description: "", fields: [] };
}

export function toJsonSchema(fields: readonly Field[]): Record<string, unknown> {
  const named = fields.filter((field) => field.name.trim());
  return {
    type: "object",
    properties: Object.fromEntries(named.map((field) => [field.name.trim(), fieldSchema(field)])),
    required: named.filter((field) => field.required).map((field) => field.name.trim()),
    additionalProperties: false,
  };
}

function fieldSchema(field: Field): Record<string, unknown> {
  const described = field.description.trim() ? { description: field.description.trim() } : {};
  const one = valueSchema(field);
  return field.list ? { type: "array", items: one, ...described } : { ...one, ...described };
}

function valueSchema(field: Field): Record<string, unknown> {
  switch (field.type) {
    case "object":
      return toJsonSchema(field.fields);
    case "date":
      return { type: "string", format: "date" };
    case "box":
      return {
        type: "array",
        items: { type: "integer", minimum: 0, maximum: 1000 },
        minItems: 4,
        maxItems: 4,
      };
    default:
      return { type: SIMPLE[field.type] };
  }
}

/** Fields of a schema; null when it says more than the table can show. */
export function fromJsonSchema(schema: unknown): Field[] | null {
  if (!isObject(schema) || schema["type"] !== "object" || !isObject(schema["properties"])) return null;
  const known = new Set(["type", "properties", "required", "additionalProperties", "title", "description"]);
  if (Object.keys(schema).some((key) => !known.has(key))) return null;
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const fields = Object.entries(schema["properties"]).map(([name, value]) =>
    fieldOf(name, value, required.includes(name)),
  );
  return fields.every((field) => field !== null) ? fields : null;
}

function fieldOf(name: string, value: unknown, required: boolean): Field | null {
  if (!isObject(value)) return null;
  const description = typeof value["description"] === "string" ? value["description"] : "";
  const base = { name, required, description, fields: [] };
  if (isBox(value)) return { ...base, type: "box", list: false };
  if (value["type"] === "array") {
    const inner = fieldOf(name, value["items"], required);
    return inner && !inner.list ? { ...inner, description, list: true } : null;
  }
  if (value["type"] === "object") {
    const { description: _, ...rest } = value;
    const fields = fromJsonSchema(rest);
    return fields && { ...base, type: "object", list: false, fields };
  }
  const allowed = new Set(["type", "description", "format"]);
  if (Object.keys(value).some((key) => !allowed.has(key))) return null;
  if (value["type"] === "string" && value["format"] === "date") return { ...base, type: "date", list: false };
  if (value["format"] !== undefined) return null;
  const type = (Object.keys(SIMPLE) as (keyof typeof SIMPLE)[]).find((t) => SIMPLE[t] === value["type"]);
  return type ? { ...base, type, list: false } : null;
}

function isBox(value: Record<string, unknown>): boolean {
  const items = value["items"];
  return (
    value["type"] === "array" &&
    value["minItems"] === 4 &&
    value["maxItems"] === 4 &&
    isObject(items) &&
    items["type"] === "integer"
  );
}

/** A schema typed by hand, or the sentence that says what is wrong with it. */
export function readSchema(text: string): { schema: object } | { problem: string } {
  try {
    const value = JSON.parse(text) as unknown;
    if (!isObject(value)) return { problem: "A schema is a JSON object." };
    return { schema: value };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : "This is no JSON." };
  }
}

/** A name the server takes for a schema. */
export function schemaName(text: string): string {
  return text.trim().replace(/[^\w-]+/g, "_").slice(0, 64) || "answer";
}

function field(name: string, type: FieldType, more: Partial<Field> = {}): Field {
  return { ...newField(name), type, ...more };
}

export const PRESETS: readonly NamedSchema[] = [
  {
    name: "invoice",
    fields: [
      field("seller", "text"),
      field("number", "text", { description: "Invoice number" }),
      field("date", "date"),
      field("items", "object", {
        list: true,
        fields: [field("description", "text"), field("quantity", "number"), field("price", "number")],
      }),
      field("total", "number", { description: "Amount to pay" }),
      field("currency", "text"),
    ],
  },
  {
    name: "receipt",
    fields: [
      field("shop", "text"),
      field("date", "date"),
      field("items", "object", { list: true, fields: [field("name", "text"), field("price", "number")] }),
      field("total", "number"),
    ],
  },
  {
    name: "table",
    fields: [field("columns", "text", { list: true }), field("rows", "object", {
      list: true, fields: [field("cells", "text", { list: true })],
    })],
  },
  {
    name: "objects",
    fields: [
      field("objects", "object", {
        list: true,
        fields: [field("label", "text"), field("box", "box", { description: BOX_HINT })],
      }),
    ],
  },
];
