// The bytes of attachments of this visit, by attachment id. They are never written to disk.

interface Held {
  readonly blob: Blob;
  readonly url: string;
  data: Promise<string> | null;
}

const held = new Map<string, Held>();
/** Larger ones are encoded again each time instead of being kept twice. */
const KEEP_ENCODED_BYTES = 8 << 20;

export function hold(id: string, blob: Blob): void {
  drop(id);
  held.set(id, { blob, url: URL.createObjectURL(blob), data: null });
}

export function drop(id: string): void {
  const found = held.get(id);
  if (found) URL.revokeObjectURL(found.url);
  held.delete(id);
}

export function blobOf(id: string): Blob | null {
  return held.get(id)?.blob ?? null;
}

/** An address the page itself can show the bytes from. */
export function urlOf(id: string): string {
  return held.get(id)?.url ?? "";
}

/** The bytes as a data URL of the given type. */
export async function dataUrlOf(id: string, type: string): Promise<string> {
  const found = held.get(id);
  if (!found) return "";
  if (found.data) return found.data;
  const reading = encoded(found.blob).then((url) => `data:${type};base64,${url.slice(url.indexOf(",") + 1)}`);
  if (found.blob.size <= KEEP_ENCODED_BYTES) found.data = reading;
  return reading;
}

function encoded(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error("The file cannot be read any more; attach it again."));
    reader.readAsDataURL(blob);
  });
}
