// Two pictures against each other: side by side, or one wiped over the other.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { urlOf } from "../media/blobs.ts";
import { chat, draft, findAttachment, open, view } from "../state/app.ts";
import { useStore } from "../state/store.ts";
import type { Attachment } from "../state/types.ts";
import { Dialog, Field } from "./controls.tsx";

const QUESTION = "Compare the two images. List every difference, with a box in each image where it helps.";

export function Compare(): JSX.Element | null {
  const ids = useStore(view, (v) => v.comparing);
  const [first, setFirst] = useState(ids[0] ?? "");
  const [second, setSecond] = useState(ids[1] ?? "");
  const [wipe, setWipe] = useState(false);
  const [share, setShare] = useState(50);
  const images = ids.map(findAttachment).filter((a): a is Attachment => a !== null);
  const [left, right] = [findAttachment(first), findAttachment(second)];
  if (!left || !right) return null;
  const drafted = draft.get().attachments.some((a) => a.id === left.id);
  const choose = (label: string, value: string, set: (id: string) => void): JSX.Element => (
    <Field label={label}>
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        {images.map((a, index) => <option key={a.id} value={a.id}>{index + 1}: {a.name}</option>)}
      </select>
    </Field>
  );
  return (
    <Dialog title="Compare two images" wide onClose={() => open("")}>
      <div class="compare-tools">
        {images.length > 2 && choose("First", first, setFirst)}
        {images.length > 2 && choose("Second", second, setSecond)}
        <div class="tabs" role="group" aria-label="How they are compared">
          <button type="button" aria-pressed={!wipe} onClick={() => setWipe(false)}>Side by side</button>
          <button type="button" aria-pressed={wipe} onClick={() => setWipe(true)}>Wipe</button>
        </div>
      </div>
      {wipe ? (
        <div class="wipe">
          <div class="wipe-frame">
            <img src={sourceOf(left)} alt={left.name} />
            <img src={sourceOf(right)} alt={right.name} style={{ clipPath: `inset(0 0 0 ${share}%)` }} />
            <span class="wipe-line" style={{ left: `${share}%` }} />
          </div>
          <input
            type="range"
            aria-label="Border between the two images"
            min={0}
            max={100}
            value={share}
            onInput={(event) => setShare(event.currentTarget.valueAsNumber)}
          />
        </div>
      ) : (
        <div class="side-by-side">
          {[left, right].map((a) => (
            <figure key={a.id}>
              <img src={sourceOf(a)} alt={a.name} />
              <figcaption>{a.name}</figcaption>
            </figure>
          ))}
        </div>
      )}
      {drafted && (
        <div class="dialog-foot">
          <button
            type="button"
            class="button primary"
            onClick={() => {
              draft.set({ text: QUESTION });
              open("", "question");
            }}
          >
            Ask for the differences
          </button>
        </div>
      )}
    </Dialog>
  );
}

function sourceOf(attachment: Attachment): string {
  return urlOf(attachment.id) || attachment.thumb;
}

/** Open the comparison of the pictures of a question that was sent. */
export function compareTurn(turnId: string): void {
  const turn = chat.get().current.turns.find((t) => t.id === turnId);
  const ids = turn?.attachments.filter((a) => a.kind === "image").map((a) => a.id) ?? [];
  view.set({ panel: "compare", comparing: ids });
}
