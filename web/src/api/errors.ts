// What went wrong, in the server's words and with what can be done about it.

export type Remedy =
  | "key"
  | "retry"
  | "fewer-frames"
  | "more-pruning"
  | "fewer-tiles"
  | "fewer-pages"
  | "shorter-answer"
  | "thinking-off"
  | "new-chat"
  | "attach-again";

export class ApiFailure extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string;
  readonly retryAfterS: number | null;

  constructor(
    message: string,
    given: { status?: number; code?: string; param?: string; retryAfterS?: number | null } = {},
  ) {
    super(message);
    this.name = "ApiFailure";
    this.status = given.status ?? 0;
    this.code = given.code ?? "";
    this.param = given.param ?? "";
    this.retryAfterS = given.retryAfterS ?? null;
  }
}

/** The failure an error body describes, whatever shape it has. */
export function failureOf(body: unknown, status: number, retryAfter: string | null): ApiFailure {
  const error = isObject(body) && isObject(body["error"]) ? body["error"] : {};
  const text = (name: string): string => {
    const value = error[name];
    return typeof value === "string" ? value : "";
  };
  const seconds = retryAfter === null ? NaN : Number(retryAfter);
  return new ApiFailure(text("message") || `The server answered with status ${status}.`, {
    status,
    code: text("code"),
    param: text("param"),
    retryAfterS: Number.isFinite(seconds) ? seconds : null,
  });
}

export interface Explained {
  readonly title: string;
  readonly text: string;
  readonly remedies: readonly Remedy[];
}

/** What a person is told, and which ways out are offered first. */
export function explain(failure: ApiFailure): Explained {
  const { status, code, message } = failure;
  if (code === "context_length_exceeded") {
    return {
      title: "This does not fit into the context",
      text: message,
      remedies: ["fewer-frames", "more-pruning", "fewer-pages", "fewer-tiles", "shorter-answer"],
    };
  }
  if (status === 0) {
    return { title: "The server cannot be reached", text: message, remedies: ["retry"] };
  }
  if (status === 401 || status === 403) {
    const title = status === 401 ? "An API key is needed" : "The server does not allow this";
    return { title, text: message, remedies: status === 401 ? ["key"] : ["retry"] };
  }
  if (status === 404 && failure.param.endsWith("file_id")) {
    return { title: "The upload is gone", text: message, remedies: ["attach-again", "retry"] };
  }
  if (status === 413) {
    return { title: "The request is too large", text: message, remedies: ["fewer-pages", "new-chat"] };
  }
  if (status === 422) {
    return { title: "An attachment cannot be used", text: message, remedies: ["attach-again"] };
  }
  if (status === 429) {
    return { title: "Too many requests", text: message, remedies: ["retry"] };
  }
  if (status === 502 || status === 503 || status === 504) {
    return { title: "The server is busy", text: message, remedies: ["retry"] };
  }
  if (status >= 500) return { title: "The server failed", text: message, remedies: ["retry"] };
  return { title: "The request was refused", text: message, remedies: ["retry"] };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
