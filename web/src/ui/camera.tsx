// Pictures and short clips from the camera.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { addFiles, open } from "../state/app.ts";
import { Dialog } from "./controls.tsx";

export function Camera(): JSX.Element {
  const player = useRef<HTMLVideoElement>(null);
  const stream = useRef<MediaStream | null>(null);
  const recorder = useRef<MediaRecorder | null>(null);
  const [state, setState] = useState<"starting" | "ready" | "recording" | "refused">("starting");
  useEffect(() => {
    let gone = false;
    const begin = async (): Promise<void> => {
      try {
        const found = await navigator.mediaDevices.getUserMedia({
          video: { facingMode: { ideal: "environment" }, width: { ideal: 1920 } },
        });
        if (gone) return end(found);
        stream.current = found;
        if (player.current) player.current.srcObject = found;
        setState("ready");
      } catch {
        if (!gone) setState("refused");
      }
    };
    void begin();
    return () => {
      gone = true;
      if (recorder.current?.state === "recording") recorder.current.stop();
      end(stream.current);
    };
  }, []);
  const take = (): void => {
    const video = player.current;
    if (!video?.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    canvas.toBlob(
      (blob) => {
        if (blob) void addFiles([new File([blob], "photo.jpg", { type: "image/jpeg" })]);
        open("");
      },
      "image/jpeg",
      0.92,
    );
  };
  const record = (): void => {
    if (state === "recording") {
      recorder.current?.stop();
      open("");
      return;
    }
    if (!stream.current) return;
    const type = ["video/webm", "video/mp4"].find((t) => MediaRecorder.isTypeSupported(t)) ?? "";
    const made = new MediaRecorder(stream.current, type ? { mimeType: type } : {});
    const pieces: Blob[] = [];
    made.ondataavailable = ({ data }) => pieces.push(data);
    made.onstop = () => {
      const name = type === "video/mp4" ? "clip.mp4" : "clip.webm";
      void addFiles([new File(pieces, name, { type: type || "video/webm" })]);
    };
    made.start();
    recorder.current = made;
    setState("recording");
  };
  return (
    <Dialog title="Camera" onClose={() => open("")}>
      {state === "refused" ? (
        <p class="camera-note">The browser gave no access to a camera. Allow it in the address bar, and see that one is connected.</p>
      ) : (
        <video ref={player} class="camera" autoplay muted playsInline aria-label="Picture of the camera" />
      )}
      <div class="dialog-foot">
        <button type="button" class="button" disabled={state !== "ready" && state !== "recording"} onClick={record}>
          {state === "recording" ? "Stop and attach" : "Record a clip"}
        </button>
        <button type="button" class="button primary" disabled={state !== "ready"} onClick={take}>
          Take a photo
        </button>
      </div>
    </Dialog>
  );
}

function end(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
