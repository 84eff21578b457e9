// What goes over the wire, as far as the page looks at it.

export interface MediaFacts {
  readonly tile_size: number;
  readonly tokens_per_tile: number;
  readonly max_tiles: number;
  readonly use_thumbnail: boolean;
  readonly video_fps: number;
  readonly max_frames: number;
  readonly video_pruning_rate: number | null;
  readonly pdf_dpi: number;
  readonly max_pages: number;
  readonly speech: boolean;
  readonly remote_media: boolean;
  readonly uploads: boolean;
}

export interface ModelInfo {
  readonly id: string;
  readonly max_model_len: number;
  readonly input_modalities: readonly string[];
  readonly nanovl: MediaFacts | null;
}

/** What is done with one picture, page or video, and what it costs. */
export interface MediaRow {
  readonly kind: "image" | "video";
  readonly tokens: number;
  /** With the words around its frames. */
  readonly prompt_tokens?: number;
  readonly tokens_before_pruning?: number;
  readonly pruning_rate?: number;
  readonly tiles?: number;
  readonly columns?: number;
  readonly rows?: number;
  readonly frames?: number;
  readonly width?: number;
  readonly height?: number;
  readonly name?: string;
  readonly page?: number;
  readonly dpi?: number;
  readonly duration_s?: number;
  readonly times_s?: readonly number[] | null;
  readonly clamped?: readonly string[];
}

export interface TokenCount {
  readonly count: number;
  readonly max_model_len: number;
  readonly nanovl_media: readonly MediaRow[];
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: {
    readonly cached_tokens?: number;
    readonly multimodal_tokens?: Readonly<Record<string, number>>;
  } | null;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: number } | null;
}

export interface Timings {
  readonly queue_ms?: number;
  readonly media_ms?: number;
  readonly encode_ms?: number;
  readonly prefill_ms?: number;
  readonly ttft_ms?: number;
  readonly decode_tok_s?: number;
}

export interface Progress {
  readonly stage: string;
  readonly done: number;
  readonly total: number | null;
  readonly unit?: string;
}

/** One piece of a streamed answer, in the page's words. */
export type AnswerPiece =
  | { readonly kind: "begin"; readonly id: string }
  | { readonly kind: "reasoning"; readonly text: string }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "count"; readonly completionTokens: number }
  | { readonly kind: "progress"; readonly progress: Progress }
  | { readonly kind: "finish"; readonly reason: string; readonly detail: string }
  | {
      readonly kind: "usage";
      readonly usage: Usage;
      readonly timings: Timings | null;
      readonly media: readonly MediaRow[];
    };

export type Part = Readonly<Record<string, unknown>> & { readonly type: string };

export interface WireMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string | readonly Part[];
}
