// A picture with boxes over it, linked to the words they belong to.
import type { JSX } from "preact";
import { useContext } from "preact/hooks";
import { urlOf } from "../media/blobs.ts";
import { show } from "../state/app.ts";
import type { Attachment } from "../state/types.ts";
import { regionOf, type Mark } from "../text/boxes.ts";
import { boxTarget, Links } from "./links.ts";

/** Boxes of a picture as a layer that fills its frame. */
export function Overlay(props: {
  attachment: Attachment;
  marks: readonly Mark[];
  hover: number | null;
  setHover: (id: number | null) => void;
}): JSX.Element {
  const { width, height } = props.attachment;
  const size = width && height ? { width, height } : null;
  return (
    <div class="overlay" aria-hidden="true">
      {props.marks.map((mark) => {
        const region = regionOf(mark.box, size);
        if (!region) return null;
        const percent = (share: number): string => `${(share * 100).toFixed(3)}%`;
        return (
          <div
            key={mark.id}
            data-mark={mark.id}
            class={`mark hue-${mark.id % 6}${props.hover === mark.id ? " lit" : ""}${region.top < 0.08 ? " low" : ""}`}
            style={{
              left: percent(region.left),
              top: percent(region.top),
              width: percent(region.width),
              height: percent(region.height),
            }}
            onMouseEnter={() => props.setHover(mark.id)}
            onMouseLeave={() => props.setHover(null)}
            onClick={() => show(props.attachment.id)}
          >
            {mark.label && <span class="mark-label">{mark.label}</span>}
          </div>
        );
      })}
    </div>
  );
}

/** Boxes by name. */
export function MarkList(props: {
  marks: readonly Mark[];
  hover: number | null;
  setHover: (id: number | null) => void;
}): JSX.Element {
  const { marks, hover, setHover } = props;
  return (
    <ul class="mark-list" aria-label="Boxes">
      {marks.map((mark) => (
        <li key={mark.id}>
          <button
            type="button"
            class={`chip box hue-${mark.id % 6}${hover === mark.id ? " lit" : ""}`}
            onMouseEnter={() => setHover(mark.id)}
            onMouseLeave={() => setHover(null)}
            onFocus={() => setHover(mark.id)}
            onBlur={() => setHover(null)}
          >
            <span class="swatch" aria-hidden="true" />
            {mark.label || `[${mark.box.join(", ")}]`}
          </button>
        </li>
      ))}
    </ul>
  );
}

/**
 * Every picture of the conversation that an answer draws boxes on.
 *
 * @param named Whether the boxes are named below the picture, because the answer has no words for it.
 */
export function Figures({ named }: { named: boolean }): JSX.Element | null {
  const { attachments, marks, hover, setHover } = useContext(Links);
  const groups = new Map<Attachment, Mark[]>();
  for (const mark of marks) {
    const target = boxTarget(attachments, mark);
    if (target?.kind === "image") groups.set(target, [...(groups.get(target) ?? []), mark]);
  }
  if (!groups.size) return null;
  return (
    <div class="figures">
      {[...groups].map(([attachment, own]) => {
        const source = urlOf(attachment.id) || attachment.thumb;
        if (!source) return null;
        const count = `${own.length} box${own.length === 1 ? "" : "es"}`;
        return (
          <figure key={attachment.id}>
            <div class="figure-frame">
              <button
                type="button"
                class="figure-open"
                aria-label={`Open ${attachment.name} with ${count}: ${own.map((m) => m.label).filter(Boolean).join(", ")}`}
                onClick={() => show(attachment.id)}
              >
                <img src={source} alt="" />
              </button>
              <Overlay attachment={attachment} marks={own} hover={hover} setHover={setHover} />
            </div>
            <figcaption>{attachment.name} · {count}</figcaption>
            {named && <MarkList marks={own} hover={hover} setHover={setHover} />}
          </figure>
        );
      })}
    </div>
  );
}
