// Settings of one attachment, and what they do to its price: part of a video, frames, pruning; pages
// and resolution of a document; tiles of a picture.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { server, setOptions } from "../state/app.ts";
import { meter } from "../state/count.ts";
import { useStore } from "../state/store.ts";
import type { Attachment } from "../state/types.ts";
import { urlOf } from "../media/blobs.ts";
import { clock, secondsOf } from "../text/times.ts";
import { grouped, isPageList, keptTokens, type Cost } from "../tokens/meter.ts";
import { Field } from "./controls.tsx";

export function Options({ attachment }: { attachment: Attachment }): JSX.Element {
  const cost = useStore(meter, ({ costs }) => costs.get(attachment.id) ?? null);
  const facts = useStore(server, ({ model }) => model?.nanovl ?? null);
  return (
    <section class="options" aria-label={`Settings of ${attachment.name}`}>
      {attachment.kind === "video" && (
        <>
          <Trim attachment={attachment} />
          <div class="options-row">
            <NumberField
              label="Frames at most"
              value={attachment.options.maxFrames}
              placeholder={facts ? String(facts.max_frames) : "server"}
              low={1}
              high={facts?.max_frames ?? 1024}
              onChange={(maxFrames) => setOptions(attachment.id, { maxFrames })}
            />
            <NumberField
              label="Frames per second"
              value={attachment.options.fps}
              placeholder={facts ? String(facts.video_fps) : "server"}
              low={0.01}
              high={60}
              step={0.1}
              onChange={(fps) => setOptions(attachment.id, { fps })}
            />
          </div>
          <Pruning attachment={attachment} cost={cost} serverRate={facts?.video_pruning_rate ?? 0} />
        </>
      )}
      {attachment.kind === "pdf" && (
        <div class="options-row">
          <Pages attachment={attachment} />
          <NumberField
            label="Resolution (dpi)"
            value={attachment.options.dpi}
            placeholder={facts ? String(facts.pdf_dpi) : "server"}
            low={18}
            high={600}
            step={10}
            onChange={(dpi) => setOptions(attachment.id, { dpi })}
          />
        </div>
      )}
      {attachment.kind !== "video" && (
        <Tiles attachment={attachment} most={facts?.max_tiles ?? 12} cost={cost} />
      )}
    </section>
  );
}

function NumberField(props: {
  label: string;
  value: number | null;
  placeholder: string;
  low: number;
  high: number;
  step?: number;
  onChange: (value: number | null) => void;
}): JSX.Element {
  return (
    <Field label={props.label}>
      <input
        type="number"
        inputMode="decimal"
        min={props.low}
        max={props.high}
        step={props.step ?? 1}
        value={props.value ?? ""}
        placeholder={props.placeholder}
        onInput={(event) => {
          const value = event.currentTarget.valueAsNumber;
          props.onChange(Number.isFinite(value) ? Math.min(props.high, Math.max(props.low, value)) : null);
        }}
      />
    </Field>
  );
}

/** How much of a video's tokens to drop, with the price before and after. */
function Pruning(props: { attachment: Attachment; cost: Cost | null; serverRate: number }): JSX.Element {
  const { attachment, cost } = props;
  const row = cost?.rows[0];
  const rate = attachment.options.pruning ?? row?.pruning_rate ?? props.serverRate;
  const frames = row?.frames ?? 0;
  const full = cost?.before ?? 0;
  // The rule is known, so the effect shows while the slider moves; the server confirms it.
  const after = frames ? keptTokens(frames, full / frames, rate) : 0;
  return (
    <div class="pruning">
      <label>
        <span class="field-label">Drop similar parts of frames (EVS)</span>
        <input
          type="range"
          min={0}
          max={0.95}
          step={0.05}
          value={rate}
          aria-valuetext={`${Math.round(rate * 100)} percent`}
          onInput={(event) => setOptions(attachment.id, { pruning: event.currentTarget.valueAsNumber })}
        />
      </label>
      <output class="pruning-effect">
        <strong>{Math.round(rate * 100)}%</strong>
        {frames > 0 && (
          <span>
            <s aria-label="before">{grouped(full)}</s> {"\u2192"} <b aria-label="after">{grouped(after)}</b> tokens
          </span>
        )}
      </output>
      {frames > 0 && (
        <span class="effect-bar" aria-hidden="true">
          <span style={{ width: `${(100 * after) / Math.max(1, full)}%` }} />
        </span>
      )}
    </div>
  );
}

/** Two handles on the length of a video; the picture follows the one that moves. */
function Trim({ attachment }: { attachment: Attachment }): JSX.Element | null {
  const length = attachment.durationS;
  const player = useRef<HTMLVideoElement>(null);
  const source = urlOf(attachment.id);
  if (!length) return null;
  const start = attachment.options.startS ?? 0;
  const end = attachment.options.endS ?? length;
  const gap = Math.min(0.5, length / 10);
  const set = (name: "startS" | "endS", value: number): void => {
    const limited =
      name === "startS" ? Math.min(Math.max(0, value), end - gap) : Math.max(Math.min(length, value), start + gap);
    const isWhole = name === "startS" ? limited <= 0 : limited >= length;
    setOptions(attachment.id, { [name]: isWhole ? null : Math.round(limited * 10) / 10 });
    if (player.current) player.current.currentTime = limited;
  };
  return (
    <div class="trim">
      {source && <video ref={player} src={source} muted preload="metadata" aria-hidden="true" tabIndex={-1} />}
      <div class="trim-controls">
        <span class="field-label">Part of the video</span>
        <div class="trim-track">
          <span
            class="trim-part"
            style={{ left: `${(100 * start) / length}%`, right: `${100 - (100 * end) / length}%` }}
          />
          <Handle label="Start" value={start} length={length} onInput={(v) => set("startS", v)} />
          <Handle label="End" value={end} length={length} onInput={(v) => set("endS", v)} />
        </div>
        <div class="trim-times">
          <TimeField label="Start time" value={start} onChange={(v) => set("startS", v)} />
          <span>{clock(end - start, 1)} of {clock(length, 1)}</span>
          <TimeField label="End time" value={end} onChange={(v) => set("endS", v)} />
        </div>
      </div>
    </div>
  );
}

function Handle(props: {
  label: string;
  value: number;
  length: number;
  onInput: (value: number) => void;
}): JSX.Element {
  return (
    <input
      type="range"
      aria-label={props.label}
      aria-valuetext={clock(props.value, 1)}
      min={0}
      max={props.length}
      step={0.1}
      value={props.value}
      onInput={(event) => {
        props.onInput(event.currentTarget.valueAsNumber);
      }}
    />
  );
}

function TimeField(props: { label: string; value: number; onChange: (value: number) => void }): JSX.Element {
  const [text, setText] = useState(clock(props.value, 1));
  useEffect(() => setText(clock(props.value, 1)), [props.value]);
  return (
    <input
      class="time-field"
      aria-label={props.label}
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
      onChange={(event) => {
        const seconds = secondsOf(event.currentTarget.value);
        if (seconds === null) setText(clock(props.value, 1));
        else props.onChange(seconds);
      }}
    />
  );
}

function Pages({ attachment }: { attachment: Attachment }): JSX.Element {
  const [text, setText] = useState(attachment.options.pages);
  useEffect(() => setText(attachment.options.pages), [attachment.options.pages]);
  const valid = isPageList(text);
  return (
    <Field label="Pages" hint={valid ? "All when empty" : "Write pages like 1-4,7"}>
      <input
        value={text}
        placeholder="1-4,7"
        aria-invalid={!valid}
        onInput={(event) => {
          setText(event.currentTarget.value);
          if (isPageList(event.currentTarget.value)) setOptions(attachment.id, { pages: event.currentTarget.value });
        }}
      />
    </Field>
  );
}

function Tiles(props: { attachment: Attachment; most: number; cost: Cost | null }): JSX.Element {
  const { attachment, most, cost } = props;
  const value = attachment.options.maxTiles ?? most;
  const used = Math.max(0, ...(cost?.rows ?? []).map((row) => row.tiles ?? 0));
  return (
    <label class="tiles">
      <span class="field-label">
        Detail: at most {value} tile{value === 1 ? "" : "s"}{attachment.kind === "pdf" ? " per page" : ""}
      </span>
      <input
        type="range"
        min={1}
        max={most}
        step={1}
        value={value}
        onInput={(event) => {
          const tiles = event.currentTarget.valueAsNumber;
          setOptions(attachment.id, { maxTiles: tiles >= most ? null : tiles });
        }}
      />
      {used > 0 && <span class="field-hint">{used} used{attachment.width ? ` for ${attachment.width} \u00d7 ${attachment.height} pixels` : ""}, the small copy of the whole included</span>}
    </label>
  );
}
