// Looks at a file: its size, its length, a small picture of it. Uses the browser's own decoders and
// gives up quietly: the server decides what can be used.

export interface Probed {
  readonly thumb: string;
  readonly width: number;
  readonly height: number;
  readonly durationS: number;
}

const NOTHING: Probed = { thumb: "", width: 0, height: 0, durationS: 0 };
const THUMB_SIDE = 240;
const GIVE_UP_MS = 8000;

export async function probeImage(blob: Blob): Promise<Probed> {
  try {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const thumb = small(bitmap, width, height);
    bitmap.close();
    return { thumb, width, height, durationS: 0 };
  } catch {
    return NOTHING;
  }
}

export function probeVideo(url: string): Promise<Probed> {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  return new Promise((resolve) => {
    const facts = (): Probed => ({
      thumb: "",
      width: video.videoWidth,
      height: video.videoHeight,
      durationS: Number.isFinite(video.duration) ? video.duration : 0,
    });
    const end = (found: Probed): void => {
      clearTimeout(timer);
      video.removeAttribute("src");
      video.load();
      resolve(found);
    };
    const timer = setTimeout(() => end(facts()), GIVE_UP_MS);
    video.onloadeddata = () => {
      video.currentTime = Math.min(0.5, (video.duration || 1) / 4);
    };
    video.onseeked = () => end({ ...facts(), thumb: small(video, video.videoWidth, video.videoHeight) });
    video.onerror = () => end(NOTHING);
    video.src = url;
  });
}

export function probeAudio(url: string): Promise<Probed> {
  const audio = document.createElement("audio");
  audio.preload = "metadata";
  return new Promise((resolve) => {
    const end = (durationS: number): void => {
      clearTimeout(timer);
      resolve({ ...NOTHING, durationS: Number.isFinite(durationS) ? durationS : 0 });
    };
    const timer = setTimeout(() => end(0), GIVE_UP_MS);
    audio.onloadedmetadata = () => end(audio.duration);
    audio.onerror = () => end(0);
    audio.src = url;
  });
}

function small(source: CanvasImageSource, width: number, height: number): string {
  if (!width || !height) return "";
  const scale = Math.min(1, THUMB_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  if (!context) return "";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.72);
}

/** A part of a picture as a picture of its own; shares of width and height, 0 to 1. */
export async function cropped(
  blob: Blob,
  region: { left: number; top: number; width: number; height: number },
): Promise<Blob> {
  const bitmap = await createImageBitmap(blob);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * region.width));
  canvas.height = Math.max(1, Math.round(bitmap.height * region.height));
  const x = -Math.round(bitmap.width * region.left);
  const y = -Math.round(bitmap.height * region.top);
  canvas.getContext("2d")?.drawImage(bitmap, x, y);
  bitmap.close();
  return new Promise((resolve, reject) => {
    canvas.toBlob((made) => (made ? resolve(made) : reject(new Error("The region cannot be cut out."))), "image/png");
  });
}
