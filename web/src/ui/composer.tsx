// Where a question is written: attachments, text, thinking, form of the answer, price, send.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ACCEPT } from "../media/kinds.ts";
import { addFiles, cancelEdit, draft, open, server, view } from "../state/app.ts";
import { live, send, stop } from "../state/run.ts";
import { BUDGETS, settings } from "../state/settings.ts";
import { useStore } from "../state/store.ts";
import { budgetStep, budgetText } from "./choices.ts";
import { DraftChip } from "./chips.tsx";
import { IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";
import { MeterBar } from "./meterbar.tsx";
import { Options } from "./options.tsx";

const MAX_HEIGHT = 260;

export function Composer(): JSX.Element {
  const { text, attachments, editing, json, schemaName } = useStore(draft, (d) => d);
  const options = useStore(view, (v) => v.options);
  const busy = useStore(live, ({ run }) => run !== null);
  const ready = useStore(server, (s) => s.connection === "ready");
  const area = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const open_ = attachments.find((a) => a.id === options);
  const images = attachments.filter((a) => a.kind === "image");
  useEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(MAX_HEIGHT, element.scrollHeight)}px`;
  }, [text]);
  useEffect(() => {
    if (editing) area.current?.focus();
  }, [editing]);
  return (
    <form
      class="composer"
      aria-label="Your question"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {editing && (
        <p class="editing">
          Editing an earlier question. What came after it will be replaced.
          <button type="button" class="small-button" onClick={cancelEdit}>Cancel</button>
        </p>
      )}
      {attachments.length > 0 && (
        <ul class="draft-chips" aria-label="Attachments">
          {attachments.map((a) => <DraftChip key={a.id} attachment={a} />)}
          {images.length >= 2 && (
            <li>
              <button
                type="button"
                class="small-button"
                onClick={() => view.set({ panel: "compare", comparing: images.map((a) => a.id) })}
              >
                <Icon name="compare" size={15} /> Compare
              </button>
            </li>
          )}
        </ul>
      )}
      {open_ && open_.kind !== "audio" && <Options key={open_.id} attachment={open_} />}
      <textarea
        ref={area}
        id="question"
        rows={1}
        value={text}
        aria-label="Question"
        placeholder={attachments.length ? "Ask about it" : "Ask anything, or drop files here"}
        onInput={(event) => draft.set({ text: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          void send();
        }}
      />
      <div class="composer-row">
        <input
          ref={files}
          type="file"
          class="hidden"
          multiple
          accept={ACCEPT}
          aria-label="Files"
          tabIndex={-1}
          onChange={(event) => {
            void addFiles([...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = "";
          }}
        />
        <IconButton icon="clip" label="Attach files" onClick={() => files.current?.click()} />
        <IconButton icon="camera" label="Use the camera" onClick={() => open("camera")} />
        <div class="form-of-answer">
          <IconButton
            icon="braces"
            label="Answer as JSON"
            pressed={json}
            onClick={() => {
              draft.set({ json: !json });
              if (!json) open("schema");
            }}
          />
          {json && (
            <button type="button" class="small-button schema-name" onClick={() => open("schema")}>
              <span class="sr">Edit the schema </span>{schemaName}
            </button>
          )}
        </div>
        <Thinking />
        <span class="spring" />
        {busy ? (
          <button type="button" class="send stop" aria-label="Stop" title="Stop (Esc)" onClick={stop}>
            <Icon name="stop" size={16} />
          </button>
        ) : (
          <button
            type="submit"
            class="send"
            aria-label="Send"
            title="Send (Enter)"
            disabled={!ready || (!text.trim() && !attachments.length)}
          >
            <Icon name="send" size={18} />
          </button>
        )}
      </div>
      <MeterBar />
    </form>
  );
}

/** How long the model may think before it answers. */
function Thinking(): JSX.Element {
  const budget = useStore(settings, (s) => s.budget);
  const text = budgetText(budget);
  const free = budget === null;
  return (
    <div class={`thinking${budget === 0 ? "" : " on"}`}>
      <label>
        <Icon name="bulb" size={16} />
        <span class="thinking-word">Thinking</span>
        <input
          type="range"
          min={0}
          max={BUDGETS.length - 1}
          step={1}
          value={budgetStep(budget)}
          disabled={free}
          aria-label="Thinking budget"
          aria-valuetext={text}
          onInput={(event) => settings.set({ budget: BUDGETS[event.currentTarget.valueAsNumber] ?? 0 })}
        />
      </label>
      <span class="thinking-value">{text}</span>
      <button
        type="button"
        class="no-limit"
        aria-pressed={free}
        aria-label="Think without limit"
        title="Think without limit"
        onClick={() => settings.set({ budget: free ? 2048 : null })}
      >
        {"\u221e"}
      </button>
    </div>
  );
}
