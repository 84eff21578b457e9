// The editor of the schema an answer is held to: a table of fields, or the schema's own text.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { draft, isSimple, open } from "../state/app.ts";
import {
  fromJsonSchema,
  newField,
  PRESETS,
  readSchema,
  schemaName,
  toJsonSchema,
  TYPES,
  type Field as SchemaField,
  type FieldType,
} from "../schema/fields.ts";
import { Dialog, Field, IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";

export function SchemaEditor(): JSX.Element {
  const given = draft.get();
  const [name, setName] = useState(given.schemaName);
  const [fields, setFields] = useState<readonly SchemaField[]>(fromJsonSchema(given.schema) ?? []);
  const [raw, setRaw] = useState(!isSimple(given.schema));
  const [text, setText] = useState(JSON.stringify(given.schema, null, 2));
  const [problem, setProblem] = useState("");
  const toText = (): void => {
    setText(JSON.stringify(toJsonSchema(fields), null, 2));
    setRaw(true);
    setProblem("");
  };
  const toFields = (): void => {
    const read = readSchema(text);
    const found = "schema" in read ? fromJsonSchema(read.schema) : null;
    if ("problem" in read) setProblem(read.problem);
    else if (!found) setProblem("This schema says more than the table can show; it can be used as it is.");
    else {
      setFields(found);
      setRaw(false);
      setProblem("");
    }
  };
  const use = (): void => {
    const read = raw ? readSchema(text) : { schema: toJsonSchema(fields) };
    if ("problem" in read) {
      setProblem(read.problem);
      return;
    }
    draft.set({ json: true, schema: read.schema, schemaName: schemaName(name) });
    open("");
  };
  return (
    <Dialog title="Answer as JSON" wide onClose={() => open("")}>
      <div class="schema-head">
        <Field label="Name">
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <div class="presets" role="group" aria-label="Ready-made schemas">
          {PRESETS.map((preset) => (
            <button
              type="button"
              class="small-button"
              key={preset.name}
              onClick={() => {
                setName(preset.name);
                setFields(preset.fields);
                setText(JSON.stringify(toJsonSchema(preset.fields), null, 2));
                setRaw(false);
                setProblem("");
              }}
            >
              {preset.name}
            </button>
          ))}
        </div>
        <div class="tabs" role="group" aria-label="How the schema is edited">
          <button type="button" aria-pressed={!raw} onClick={() => raw && toFields()}>Fields</button>
          <button type="button" aria-pressed={raw} onClick={() => !raw && toText()}>JSON schema</button>
        </div>
      </div>
      {raw ? (
        <textarea
          class="schema-text"
          aria-label="JSON schema"
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      ) : (
        <Fields fields={fields} onChange={setFields} path="" />
      )}
      {problem && <p class="problem" role="alert">{problem}</p>}
      <div class="dialog-foot">
        <button
          type="button"
          class="button"
          onClick={() => {
            draft.set({ json: false });
            open("");
          }}
        >
          Answer in words
        </button>
        <button type="button" class="button primary" onClick={use}>Use this schema</button>
      </div>
    </Dialog>
  );
}

function Fields(props: {
  fields: readonly SchemaField[];
  onChange: (fields: readonly SchemaField[]) => void;
  path: string;
}): JSX.Element {
  const { fields, onChange, path } = props;
  const set = (at: number, patch: Partial<SchemaField>): void =>
    onChange(fields.map((field, index) => (index === at ? { ...field, ...patch } : field)));
  return (
    <div class="schema-fields">
      {fields.map((field, at) => {
        const name = `${path}${field.name || `field ${at + 1}`}`;
        return (
          <div class="schema-field" key={at} role="group" aria-label={name}>
            <input aria-label={`Name of ${name}`} placeholder="name" value={field.name} onInput={(event) => set(at, { name: event.currentTarget.value })} />
            <select aria-label={`Type of ${name}`} value={field.type} onChange={(event) => set(at, { type: event.currentTarget.value as FieldType })}>
              {TYPES.map((type) => <option key={type}>{type}</option>)}
            </select>
            <input class="description" aria-label={`Description of ${name}`} placeholder="what it is" value={field.description} onInput={(event) => set(at, { description: event.currentTarget.value })} />
            <label><input type="checkbox" checked={field.list} onChange={(event) => set(at, { list: event.currentTarget.checked })} /> list</label>
            <label><input type="checkbox" checked={field.required} onChange={(event) => set(at, { required: event.currentTarget.checked })} /> required</label>
            <IconButton icon="trash" label={`Remove ${name}`} size={16} onClick={() => onChange(fields.filter((_, i) => i !== at))} />
            {field.type === "object" && <Fields fields={field.fields} path={`${name}.`} onChange={(inner) => set(at, { fields: inner })} />}
          </div>
        );
      })}
      <button type="button" class="small-button" onClick={() => onChange([...fields, newField()])}>
        <Icon name="plus" size={14} /> Add a field{path ? ` to ${path.slice(0, -1)}` : ""}
      </button>
    </div>
  );
}
