// Attachments as chips: what it is, what it costs, what was clamped.
import type { JSX } from "preact";
import { removeAttachment, show, uploads, view } from "../state/app.ts";
import { meter } from "../state/count.ts";
import { isHere } from "../state/parts.ts";
import { useStore } from "../state/store.ts";
import type { Attachment } from "../state/types.ts";
import { clock } from "../text/times.ts";
import { framesLine, grouped, type Cost } from "../tokens/meter.ts";
import { fileSize } from "../media/kinds.ts";
import { IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";

export function Thumb({ attachment }: { attachment: Attachment }): JSX.Element {
  const { thumb, kind } = attachment;
  return thumb ? (
    <img class="thumb" src={thumb} alt="" />
  ) : (
    <span class="thumb empty"><Icon name={kind} size={20} /></span>
  );
}

/** A chip in the composer, with its price and its settings. */
export function DraftChip({ attachment }: { attachment: Attachment }): JSX.Element {
  const cost = useStore(meter, ({ costs }) => costs.get(attachment.id) ?? null);
  const busy = useStore(uploads, (u) => u.busy.has(attachment.id));
  const isOpen = useStore(view, ({ options }) => options === attachment.id);
  return (
    <li class={`draft-chip${isOpen ? " open" : ""}`} data-kind={attachment.kind}>
      <button type="button" class="chip-open" aria-label={`Show ${attachment.name}`} onClick={() => show(attachment.id)}>
        <Thumb attachment={attachment} />
      </button>
      <span class="chip-text">
        <span class="chip-name" title={attachment.name}>{attachment.name}</span>
        <span class="chip-cost">{busy ? "Uploading\u2026" : priceLine(attachment, cost)}</span>
        {cost?.clamped.map((text) => <span key={text} class="chip-clamped">{text}</span>)}
      </span>
      {attachment.kind !== "audio" && (
        <IconButton
          icon="tune"
          label={`Settings of ${attachment.name}`}
          size={16}
          pressed={isOpen}
          onClick={() => view.set({ options: isOpen ? "" : attachment.id })}
        />
      )}
      <IconButton icon="close" label={`Remove ${attachment.name}`} size={15} onClick={() => removeAttachment(attachment.id)} />
    </li>
  );
}

function priceLine(attachment: Attachment, cost: Cost | null): string {
  if (attachment.kind === "audio") {
    return [attachment.durationS ? clock(attachment.durationS) : "", "counted with the text"].filter(Boolean).join(" \u00b7 ");
  }
  if (!cost?.rows.length) return fileSize(attachment.bytes);
  const [row] = cost.rows;
  const tokens = `${grouped(cost.total)} tokens`;
  if (!row) return tokens;
  if (attachment.kind === "pdf") {
    return `${cost.rows.length} page${cost.rows.length === 1 ? "" : "s"} \u00b7 ${tokens}`;
  }
  if (attachment.kind === "video") return `${framesLine(row)} \u00b7 ${tokens}`;
  return `${row.tiles ?? 1} tile${row.tiles === 1 ? "" : "s"} \u00b7 ${tokens}`;
}

/** A chip in a question that was sent. */
export function SentChip({ attachment }: { attachment: Attachment }): JSX.Element {
  const here = isHere(attachment);
  return (
    <li>
      <button
        type="button"
        class={`sent-chip ${attachment.kind}${here ? "" : " gone"}`}
        aria-label={`Show ${attachment.name}${here ? "" : " (only its small picture is left)"}`}
        title={here ? attachment.name : `${attachment.name}: only its small picture is left; attach it again to ask about it`}
        onClick={() => show(attachment.id)}
      >
        <Thumb attachment={attachment} />
        {attachment.kind !== "image" && <span class="chip-name">{attachment.name}</span>}
        {attachment.kind === "video" && attachment.durationS > 0 && (
          <span class="chip-length">{clock(attachment.durationS)}</span>
        )}
      </button>
    </li>
  );
}
