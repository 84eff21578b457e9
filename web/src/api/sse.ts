// Server-sent events from a byte stream: fields, comments, any line ending, any split of chunks.
// Knows nothing of what events say.

export interface ServerEvent {
  readonly kind: "event";
  readonly name: string;
  readonly data: string;
}

export interface ServerComment {
  readonly kind: "comment";
  readonly text: string;
}

export type SseItem = ServerEvent | ServerComment;

/** Collects text and gives back what is complete. */
export class SseParser {
  private buffer = "";
  private data: string[] = [];
  private name = "";
  private afterReturn = false;
  private atStart = true;

  /** Items that the piece completed, in order. */
  push(piece: string): SseItem[] {
    if (this.atStart && piece) {
      this.atStart = false;
      if (piece.startsWith("\uFEFF")) piece = piece.slice(1);
    }
    const items: SseItem[] = [];
    for (let from = 0; from < piece.length; ) {
      // A line feed right after a carriage return belongs to it, even in the next piece.
      if (this.afterReturn && piece[from] === "\n") {
        this.afterReturn = false;
        from += 1;
        continue;
      }
      this.afterReturn = false;
      const end = nextBreak(piece, from);
      if (end < 0) {
        this.buffer += piece.slice(from);
        break;
      }
      this.line(this.buffer + piece.slice(from, end), items);
      this.buffer = "";
      this.afterReturn = piece[end] === "\r";
      from = end + 1;
    }
    return items;
  }

  private line(line: string, items: SseItem[]): void {
    if (line === "") {
      if (this.data.length) {
        items.push({ kind: "event", name: this.name || "message", data: this.data.join("\n") });
      }
      this.data = [];
      this.name = "";
      return;
    }
    if (line.startsWith(":")) {
      items.push({ kind: "comment", text: line.slice(1).trim() });
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? "" : line.slice(colon + 1);
    const value = rest.startsWith(" ") ? rest.slice(1) : rest;
    if (field === "data") this.data.push(value);
    else if (field === "event") this.name = value;
  }
}

function nextBreak(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 10 || code === 13) return at;
  }
  return -1;
}

/** Items of a response body, until it ends. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SseItem> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* parser.push(decoder.decode(value, { stream: !done }));
      if (done) return;
    }
  } finally {
    reader.releaseLock();
  }
}
