// Attachments as parts of a request: waits for uploads, encodes what travels with the request.
import { mediaPart, messagesOf } from "../api/request.ts";
import type { Part, WireMessage } from "../api/types.ts";
import { blobOf, dataUrlOf } from "../media/blobs.ts";
import { findAttachment, uploads } from "./app.ts";
import type { Attachment, Turn } from "./types.ts";

/** Messages with their media, as soon as it is there. */
export async function wireMessages(system: string, turns: readonly Turn[]): Promise<WireMessage[]> {
  const parts = new Map<string, Part | null>();
  for (const { id } of turns.flatMap((turn) => turn.attachments)) {
    if (!parts.has(id)) parts.set(id, await partOf(id, turns));
  }
  return messagesOf(system, turns, (attachment) => parts.get(attachment.id) ?? null);
}

async function partOf(id: string, turns: readonly Turn[]): Promise<Part | null> {
  await uploaded(id);
  const given = turns.flatMap((turn) => turn.attachments).find((a) => a.id === id);
  if (!given) return null;
  const attachment: Attachment = { ...given, fileId: findAttachment(id)?.fileId ?? given.fileId };
  if (attachment.fileId) return mediaPart(attachment, "");
  const data = await dataUrlOf(id, attachment.type);
  return data ? mediaPart(attachment, data) : null;
}

function uploaded(id: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (uploads.get().busy.has(id)) return;
      stop();
      resolve();
    };
    const stop = uploads.subscribe(look);
    look();
  });
}

/** Whether the model can still be shown an attachment. */
export function isHere(attachment: Attachment): boolean {
  return Boolean(attachment.fileId) || blobOf(attachment.id) !== null;
}
