// What a file is, by its declared type and its name.
import type { MediaKind } from "../state/types.ts";

const BY_EXTENSION: Readonly<Record<string, readonly [MediaKind, string]>> = {
  avif: ["image", "image/avif"],
  bmp: ["image", "image/bmp"],
  gif: ["image", "image/gif"],
  jpeg: ["image", "image/jpeg"],
  jpg: ["image", "image/jpeg"],
  png: ["image", "image/png"],
  tif: ["image", "image/tiff"],
  tiff: ["image", "image/tiff"],
  webp: ["image", "image/webp"],
  avi: ["video", "video/x-msvideo"],
  m4v: ["video", "video/mp4"],
  mkv: ["video", "video/x-matroska"],
  mov: ["video", "video/quicktime"],
  mp4: ["video", "video/mp4"],
  mpg: ["video", "video/mpeg"],
  webm: ["video", "video/webm"],
  aac: ["audio", "audio/aac"],
  flac: ["audio", "audio/flac"],
  m4a: ["audio", "audio/mp4"],
  mp3: ["audio", "audio/mpeg"],
  oga: ["audio", "audio/ogg"],
  ogg: ["audio", "audio/ogg"],
  opus: ["audio", "audio/ogg"],
  wav: ["audio", "audio/wav"],
  pdf: ["pdf", "application/pdf"],
};

export const ACCEPT = ["image/*", "video/*", "audio/*", "application/pdf", ".pdf", ".mkv"].join(",");

/** Kind and type of a file; null for what the model cannot look at. */
export function kindOf(name: string, type: string): readonly [MediaKind, string] | null {
  const extension = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  const family = /^(image|video|audio)\/[\w.+-]+$/.exec(type)?.[1] as MediaKind | undefined;
  if (family && type !== "image/svg+xml") return [family, type];
  if (type === "application/pdf") return ["pdf", type];
  return type && !/^application\/(octet-stream|x-matroska)$/.test(type) ? null : (BY_EXTENSION[extension] ?? null);
}

export function fileSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [value, unit] = bytes < 1 << 20 ? [bytes / 1024, "KB"] : [bytes / (1 << 20), "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
