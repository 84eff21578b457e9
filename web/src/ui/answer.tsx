// One answer: reasoning, text or fields, boxes, figures, and what can be done with it.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { changeTurn } from "../state/app.ts";
import { live, regenerate, type Live } from "../state/run.ts";
import { useStore } from "../state/store.ts";
import type { Answer, Attachment, Turn } from "../state/types.ts";
import { marksInJson } from "../text/boxes.ts";
import { jsonCsv, tablesCsv } from "../text/exports.ts";
import { tables } from "../text/nodes.ts";
import { parseAnswer } from "../text/parse.ts";
import { cuesOf, toSrt, toVtt } from "../text/subtitles.ts";
import { grouped } from "../tokens/meter.ts";
import { IconButton, Menu, type MenuEntry } from "./controls.tsx";
import { ErrorCard } from "./errorcard.tsx";
import { Figures } from "./figure.tsx";
import { JsonView } from "./jsonview.tsx";
import { latest, Links } from "./links.ts";
import { Blocks } from "./markdown.tsx";
import { Readout } from "./readout.tsx";
import { Reasoning } from "./reasoning.tsx";
import { copy, download } from "./save.ts";

interface AnswerProps {
  readonly turn: Turn;
  readonly answer: Answer;
  readonly attachments: readonly Attachment[];
}

export function AnswerView({ turn, answer, attachments }: AnswerProps): JSX.Element {
  const running = answer.status === "running";
  const [hover, setHover] = useState<number | null>(null);
  const json = useMemo(() => (running ? undefined : jsonOf(answer)), [answer.text, running]);
  const parsed = useMemo(() => parseAnswer(answer.text, running), [answer.text, running]);
  const marks = useMemo(
    () => (json === undefined ? parsed.marks : marksInJson(json)),
    [parsed, json],
  );
  const links = useMemo(
    () => ({ attachments, marks, hover, setHover }),
    [attachments, marks, hover],
  );
  return (
    <Links.Provider value={links}>
      <article class="answer" aria-label="Answer" aria-busy={running}>
        <h2 class="sr">Answer</h2>
        <Reasoning answer={answer} />
        {running && <Waiting answer={answer} />}
        {json !== undefined ? (
          <JsonView value={json} text={answer.text} />
        ) : (
          answer.text && (
            <div class={`markdown${running ? " growing" : ""}`}>
              <Blocks blocks={parsed.blocks} />
            </div>
          )
        )}
        <Figures named={json !== undefined} />
        <Ending answer={answer} />
        {answer.error && <ErrorCard error={answer.error} turnId={turn.id} />}
        {!running && (
          <footer class="answer-foot">
            <Actions turn={turn} answer={answer} attachments={attachments} json={json} />
            <Readout answer={answer} />
          </footer>
        )}
      </article>
    </Links.Provider>
  );
}

/** The value of an answer that is JSON as a whole, else undefined. */
function jsonOf(answer: Answer): unknown {
  const text = answer.text.trim();
  if (!answer.schema && !/^[[{]/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

const STAGES: Readonly<Record<string, string>> = {
  prompt: "Reading the prompt",
  image: "Looking at the pictures",
  video: "Looking at the video",
  fetch: "Fetching media",
  decode_video: "Reading the video",
  decode_image: "Reading the pictures",
  encode: "Looking at the media",
  speech: "Listening",
};

function Waiting({ answer }: { answer: Answer }): JSX.Element | null {
  const run = useStore(live, ({ run: now }) => (now?.answerId === answer.id ? now : null));
  if (!run || answer.text || answer.reasoning) return null;
  const { progress } = run;
  const total = progress?.total ?? 0;
  return (
    <div class="waiting">
      <span class="spinner" aria-hidden="true" />
      <span>{waitingText(run)}</span>
      {progress && total > 0 && (
        <>
          <progress max={total} value={progress.done} aria-label="Progress" />
          <span class="waiting-count">
            {grouped(progress.done)} of {grouped(total)} {progress.unit}
          </span>
        </>
      )}
    </div>
  );
}

function waitingText({ phase, progress }: Live): string {
  if (progress) return STAGES[progress.stage] ?? "Working";
  return phase === "sending" ? "Sending" : "Waiting for the first word";
}

/** Why an answer ended early, if it did. */
function Ending({ answer }: { answer: Answer }): JSX.Element | null {
  if (answer.status === "stopped") return <p class="ending">Stopped.</p>;
  if (answer.finish !== "length") return null;
  const why =
    answer.detail === "timeout"
      ? "The time for this request was over."
      : answer.text
        ? "The answer reached its length limit."
        : "All tokens went into thinking. Give it a smaller budget or a longer answer.";
  return <p class="ending">{why}</p>;
}

function Actions(props: AnswerProps & { json: unknown }): JSX.Element {
  const { turn, answer, json } = props;
  const busy = useStore(live, ({ run }) => run !== null);
  const count = turn.answers.length;
  const step = (by: number): void =>
    changeTurn(turn.id, (t) => ({ ...t, shown: Math.min(count - 1, Math.max(0, t.shown + by)) }));
  return (
    <div class="actions">
      {count > 1 && (
        <div class="versions" role="group" aria-label="Versions of the answer">
          <IconButton icon="left" label="Previous answer" size={15} disabled={turn.shown === 0} onClick={() => step(-1)} />
          <span>{turn.shown + 1} / {count}</span>
          <IconButton icon="right" label="Next answer" size={15} disabled={turn.shown === count - 1} onClick={() => step(1)} />
        </div>
      )}
      {answer.text && <IconButton icon="copy" label="Copy as Markdown" size={16} onClick={() => void copy(answer.text)} />}
      <IconButton icon="redo" label="Answer again" size={16} disabled={busy} onClick={() => void regenerate(turn.id)} />
      {answer.text && <Menu icon="export" label="Copy or save as" entries={exportsOf(props, json)} />}
    </div>
  );
}

function exportsOf({ turn, answer, attachments }: AnswerProps, json: unknown): MenuEntry[] {
  const { blocks, marks } = parseAnswer(answer.text);
  const record = {
    question: turn.text,
    attachments: turn.attachments.map((a) => a.name),
    answer: answer.text,
    reasoning: answer.reasoning || undefined,
    boxes: marks.map(({ label, box, image, page }) => ({ label, box, image, page })),
    usage: answer.usage,
  };
  const asJson = JSON.stringify(json ?? record, null, 2);
  const csv = json !== undefined ? jsonCsv(json) : tables(blocks).length ? tablesCsv(blocks) : "";
  const video = latest(attachments, "video") ?? latest(attachments, "audio");
  const cues = video || answer.text.includes(":") ? cuesOf(answer.text, video?.durationS || null) : [];
  const name = (video?.name ?? "answer").replace(/\.\w+$/, "");
  return [
    { label: "Copy Markdown", run: () => void copy(answer.text) },
    { label: "Copy JSON", run: () => void copy(asJson) },
    { label: "Save JSON", run: () => download(asJson, "answer.json", "application/json") },
    ...(csv
      ? [
          { label: "Copy CSV", run: () => void copy(csv) },
          { label: "Save CSV", run: () => download(csv, "answer.csv", "text/csv") },
        ]
      : []),
    ...(cues.length
      ? [
          { label: "Save subtitles (SRT)", run: () => download(toSrt(cues), `${name}.srt`, "application/x-subrip") },
          { label: "Save subtitles (VTT)", run: () => download(toVtt(cues), `${name}.vtt`, "text/vtt") },
        ]
      : []),
  ];
}
