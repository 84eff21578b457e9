// Settings: key, model, instructions, sampling, looks.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { connect, open, server } from "../state/app.ts";
import { settings, type Theme } from "../state/settings.ts";
import { useStore } from "../state/store.ts";
import { grouped } from "../tokens/meter.ts";
import { Dialog, Field } from "./controls.tsx";

const THEMES: readonly [Theme, string][] = [["auto", "System"], ["light", "Light"], ["dark", "Dark"]];

export function SettingsDialog(): JSX.Element {
  const now = useStore(settings, (s) => s);
  const { models, model, connection, problem } = useStore(server, (s) => s);
  const [key, setKey] = useState(now.key);
  const close = (): void => {
    open("");
    if (key === now.key) return;
    settings.set({ key: key.trim() });
    void connect();
  };
  const numeric = (text: string, low: number, high: number): number | null => {
    const value = Number(text);
    return text.trim() && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : null;
  };
  return (
    <Dialog title="Settings" onClose={close}>
      <form
        class="settings"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          close();
        }}
      >
        <Field label="API key" hint={connection === "key" ? problem : "Only needed when the server asks for one"}>
          <input type="password" autocomplete="off" value={key} onInput={(event) => setKey(event.currentTarget.value)} />
        </Field>
        <label class="check">
          <input
            type="checkbox"
            checked={now.rememberKey}
            onChange={(event) => settings.set({ rememberKey: event.currentTarget.checked })}
          />
          Remember the key in this browser
        </label>
        {models.length > 1 && (
          <Field label="Model">
            <select
              value={model?.id}
              onChange={(event) => server.set({ model: models.find((m) => m.id === event.currentTarget.value) ?? null })}
            >
              {models.map((m) => <option key={m.id}>{m.id}</option>)}
            </select>
          </Field>
        )}
        <Field label="Instructions" hint="Goes in front of every conversation">
          <textarea rows={3} value={now.system} onInput={(event) => settings.set({ system: event.currentTarget.value })} />
        </Field>
        <div class="options-row">
          <Field label="Longest answer (tokens)" hint={model ? `Up to ${grouped(model.max_model_len)} with the prompt` : ""}>
            <input
              type="number"
              min={1}
              value={now.maxTokens ?? ""}
              placeholder="what is left"
              onInput={(event) => settings.set({ maxTokens: numeric(event.currentTarget.value, 1, 1e7) })}
            />
          </Field>
          <Field label="Temperature" hint="0.6 when thinking, else 0">
            <input
              type="number"
              min={0}
              max={2}
              step={0.1}
              value={now.temperature ?? ""}
              placeholder="automatic"
              onInput={(event) => settings.set({ temperature: numeric(event.currentTarget.value, 0, 2) })}
            />
          </Field>
          <Field label="Seed">
            <input
              type="number"
              min={0}
              value={now.seed ?? ""}
              placeholder="any"
              onInput={(event) => settings.set({ seed: numeric(event.currentTarget.value, 0, 2 ** 53) })}
            />
          </Field>
        </div>
        <div class="field">
          <span class="field-label">Looks</span>
          <div class="tabs" role="group" aria-label="Looks">
            {THEMES.map(([theme, name]) => (
              <button type="button" key={theme} aria-pressed={now.theme === theme} onClick={() => settings.set({ theme })}>
                {name}
              </button>
            ))}
          </div>
        </div>
        <div class="dialog-foot">
          <button type="submit" class="button primary">Done</button>
        </div>
      </form>
    </Dialog>
  );
}

const KEYS: readonly [string, string][] = [
  ["Enter", "Send"],
  ["Shift + Enter", "New line"],
  ["Esc", "Stop the answer, or close what is open"],
  ["/", "Go to the question"],
  ["Alt + N", "New conversation"],
  ["Alt + U", "Attach files"],
  ["Alt + T", "Thinking on or off"],
  ["?", "This list"],
];

export function KeysDialog(): JSX.Element {
  return (
    <Dialog title="Keyboard" onClose={() => open("")}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt><kbd>{keys}</kbd></dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
