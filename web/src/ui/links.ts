// What an answer can point into: the media of the conversation so far, and which box is meant.
import { createContext } from "preact";
import type { Mark } from "../text/boxes.ts";
import type { Attachment } from "../state/types.ts";

export interface AnswerLinks {
  readonly attachments: readonly Attachment[];
  readonly marks: readonly Mark[];
  readonly hover: number | null;
  readonly setHover: (id: number | null) => void;
}

export const Links = createContext<AnswerLinks>({
  attachments: [],
  marks: [],
  hover: null,
  setHover: () => undefined,
});

/** The latest attachment of a kind; questions are mostly about what came last. */
export function latest(attachments: readonly Attachment[], kind: Attachment["kind"]): Attachment | null {
  return attachments.findLast((a) => a.kind === kind) ?? null;
}

/** The video or sound a point in time belongs to. */
export function timeTarget(attachments: readonly Attachment[], seconds: number): Attachment | null {
  const played = attachments.filter((a) => a.kind === "video" || a.kind === "audio");
  return played.findLast((a) => !a.durationS || seconds <= a.durationS + 1) ?? null;
}

/** The attachment a box is drawn on: the picture the text names, else the last thing with pixels. */
export function boxTarget(attachments: readonly Attachment[], mark: Mark): Attachment | null {
  const images = attachments.filter((a) => a.kind === "image");
  const pdf = latest(attachments, "pdf");
  if (mark.page !== null && pdf) return pdf;
  if (mark.image !== null && images[mark.image - 1]) return images[mark.image - 1] ?? null;
  return images.length === 1 ? (images[0] ?? null) : (images.at(-1) ?? pdf ?? latest(attachments, "video"));
}
