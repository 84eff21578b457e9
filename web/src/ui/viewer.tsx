// The pane beside the conversation: a picture with its boxes, a video at a moment, a document at a
// page.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { blobOf, urlOf } from "../media/blobs.ts";
import { cropped } from "../media/probe.ts";
import { addFiles, chat, draft, findAttachment, show, toast, view } from "../state/app.ts";
import { meter } from "../state/count.ts";
import { useStore } from "../state/store.ts";
import type { Attachment, Conversation } from "../state/types.ts";
import { marksInJson, type Mark } from "../text/boxes.ts";
import { inlines } from "../text/nodes.ts";
import { parseAnswer } from "../text/parse.ts";
import { clock } from "../text/times.ts";
import { IconButton } from "./controls.tsx";
import { MarkList, Overlay } from "./figure.tsx";
import { boxTarget, timeTarget } from "./links.ts";

export function Viewer(): JSX.Element | null {
  const target = useStore(view, (v) => v.viewer);
  const conversation = useStore(chat, (c) => c.current);
  const drafted = useStore(draft, (d) => d.attachments);
  const close = (): void => view.set({ viewer: null });
  const attachment = target && findAttachment(target.attachmentId);
  const pane = useRef<HTMLElement>(null);
  useEffect(() => {
    if (target && innerWidth < 1000) pane.current?.focus();
  }, [target?.count]);
  if (!target || !attachment) return null;
  const all = [...conversation.turns.flatMap((t) => t.attachments), ...drafted];
  const unique = all.filter((a, i) => all.findIndex((b) => b.id === a.id) === i);
  return (
    <aside
      class="viewer"
      aria-label="Viewer"
      tabIndex={-1}
      ref={pane}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          close();
        }
      }}
    >
      <header>
        {unique.length > 1 ? (
          <select
            aria-label="What is shown"
            value={attachment.id}
            onChange={(event) => show(event.currentTarget.value)}
          >
            {unique.map((a) => <option key={a.id} value={a.id}>{a.name}</option>)}
          </select>
        ) : (
          <h2>{attachment.name}</h2>
        )}
        <IconButton icon="close" label="Close the viewer" onClick={close} />
      </header>
      <div class="viewer-body" key={attachment.id}>
        <Media attachment={attachment} conversation={conversation} seekS={target.seekS} page={target.page} count={target.count} />
      </div>
    </aside>
  );
}

function Media(props: {
  attachment: Attachment;
  conversation: Conversation;
  seekS: number | null;
  page: number | null;
  count: number;
}): JSX.Element {
  const { attachment } = props;
  const source = urlOf(attachment.id);
  if (!source) {
    return (
      <div class="viewer-gone">
        {attachment.thumb && <img src={attachment.thumb} alt={attachment.name} />}
        <p>Only this small picture was kept. Attach the file again to see it, or to ask about it.</p>
      </div>
    );
  }
  switch (attachment.kind) {
    case "image":
      return <Picture attachment={attachment} source={source} conversation={props.conversation} />;
    case "pdf":
      return <Document attachment={attachment} source={source} page={props.page ?? 1} count={props.count} conversation={props.conversation} />;
    default:
      return <Player {...props} source={source} />;
  }
}

/** Trees of the latest answers, newest first. */
function parsedAnswers(conversation: Conversation): ReturnType<typeof parseAnswer>[] {
  return conversation.turns
    .map((turn) => turn.answers[turn.shown]?.text ?? "")
    .filter(Boolean)
    .reverse()
    .map((text) => parseAnswer(text));
}

/** Boxes of the newest answer that draws any on this attachment. */
function marksOn(conversation: Conversation, attachment: Attachment): readonly Mark[] {
  for (let at = conversation.turns.length - 1; at >= 0; at -= 1) {
    const turn = conversation.turns[at];
    const answer = turn?.answers[turn.shown];
    if (!turn || !answer?.text) continue;
    const before = conversation.turns.slice(0, at + 1).flatMap((t) => t.attachments);
    const all = answer.schema ? marksInJson(maybe(answer.text)) : parseAnswer(answer.text).marks;
    const own = all.filter((mark) => boxTarget(before, mark)?.id === attachment.id);
    if (own.length) return own;
  }
  return [];
}

function maybe(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const ZOOMS = [1, 1.5, 2, 3, 4] as const;

function Picture(props: { attachment: Attachment; source: string; conversation: Conversation }): JSX.Element {
  const { attachment, source, conversation } = props;
  const [zoom, setZoom] = useState(0);
  const [hover, setHover] = useState<number | null>(null);
  const [cutting, setCutting] = useState(false);
  const marks = useMemo(() => marksOn(conversation, attachment), [conversation, attachment.id]);
  return (
    <>
      <div class="viewer-tools" role="group" aria-label="Picture">
        <IconButton icon="zoomOut" label="Smaller" disabled={zoom === 0} onClick={() => setZoom(zoom - 1)} />
        <IconButton icon="zoomIn" label="Larger" disabled={zoom === ZOOMS.length - 1} onClick={() => setZoom(zoom + 1)} />
        <IconButton icon="crop" label="Ask about a part" pressed={cutting} onClick={() => setCutting(!cutting)} />
        <span class="viewer-hint">
          {cutting ? "Draw a rectangle around the part" : `${attachment.width} \u00d7 ${attachment.height}`}
        </span>
      </div>
      <div class="viewer-scroll" tabIndex={0} role="region" aria-label={attachment.name}>
        <div class="viewer-frame" style={{ width: `${(ZOOMS[zoom] ?? 1) * 100}%` }}>
          <img src={source} alt={attachment.name} draggable={false} />
          <Overlay attachment={attachment} marks={marks} hover={hover} setHover={setHover} />
          {cutting && <Cutter attachment={attachment} onDone={() => setCutting(false)} />}
        </div>
      </div>
      {marks.length > 0 && <MarkList marks={marks} hover={hover} setHover={setHover} />}
    </>
  );
}

interface Drag {
  readonly x: number;
  readonly y: number;
  readonly toX: number;
  readonly toY: number;
}

/** Draws a rectangle and attaches what is in it as a picture of its own, at full resolution. */
function Cutter({ attachment, onDone }: { attachment: Attachment; onDone: () => void }): JSX.Element {
  const [drag, setDrag] = useState<Drag | null>(null);
  const place = (event: PointerEvent): { x: number; y: number } => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = (value: number): number => Math.min(1, Math.max(0, value));
    return { x: share((event.clientX - box.left) / box.width), y: share((event.clientY - box.top) / box.height) };
  };
  const finish = async (): Promise<void> => {
    const blob = blobOf(attachment.id);
    setDrag(null);
    if (!drag || !blob) return;
    const region = regionOfDrag(drag);
    if (region.width < 0.01 || region.height < 0.01) return;
    onDone();
    try {
      const part = await cropped(blob, region);
      const name = `part of ${attachment.name.replace(/\.\w+$/, "")}.png`;
      await addFiles([new File([part], name, { type: "image/png" })]);
      document.getElementById("question")?.focus();
    } catch (error) {
      toast(error instanceof Error ? error.message : "The part cannot be cut out.");
    }
  };
  const region = drag && regionOfDrag(drag);
  return (
    <div
      class="cutter"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        const { x, y } = place(event);
        setDrag({ x, y, toX: x, toY: y });
      }}
      onPointerMove={(event) => {
        if (!drag) return;
        const { x, y } = place(event);
        setDrag({ ...drag, toX: x, toY: y });
      }}
      onPointerUp={() => void finish()}
    >
      {region && (
        <div
          class="cut"
          style={{
            left: `${region.left * 100}%`,
            top: `${region.top * 100}%`,
            width: `${region.width * 100}%`,
            height: `${region.height * 100}%`,
          }}
        />
      )}
    </div>
  );
}

function regionOfDrag(drag: Drag): { left: number; top: number; width: number; height: number } {
  return {
    left: Math.min(drag.x, drag.toX),
    top: Math.min(drag.y, drag.toY),
    width: Math.abs(drag.toX - drag.x),
    height: Math.abs(drag.toY - drag.y),
  };
}

function Player(props: {
  attachment: Attachment;
  source: string;
  conversation: Conversation;
  seekS: number | null;
  count: number;
}): JSX.Element {
  const { attachment, source, conversation, seekS, count } = props;
  const media = useRef<HTMLVideoElement & HTMLAudioElement>(null);
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    const element = media.current;
    if (!element || seekS === null) return;
    const go = (): void => {
      element.currentTime = seekS;
      // A browser may refuse to play by itself; the moment is shown all the same.
      element.play().catch(() => undefined);
    };
    if (element.readyState >= 1) go();
    else element.addEventListener("loadedmetadata", go, { once: true });
    return () => element.removeEventListener("loadedmetadata", go);
  }, [seekS, count]);
  const moments = useMemo(() => momentsOf(conversation, attachment), [conversation, attachment.id]);
  return (
    <>
      {attachment.kind === "video" ? (
        <video ref={media} src={source} controls playsInline aria-label={attachment.name} onError={() => setBroken(true)} />
      ) : (
        <audio ref={media} src={source} controls aria-label={attachment.name} onError={() => setBroken(true)} />
      )}
      {broken && <p class="viewer-note">This browser cannot play the file; the model can still look at it.</p>}
      {moments.length > 0 && (
        <ul class="moments" aria-label="Moments in the answer">
          {moments.map((seconds) => (
            <li key={seconds}>
              <button type="button" class="chip time" onClick={() => show(attachment.id, { seekS: seconds })}>
                <span class="play" aria-hidden="true" />
                {clock(seconds, Number.isInteger(seconds) ? 0 : 1)}
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function momentsOf(conversation: Conversation, attachment: Attachment): number[] {
  const all = conversation.turns.flatMap((t) => t.attachments);
  const found = new Set<number>();
  for (const { blocks } of parsedAnswers(conversation)) {
    for (const node of inlines(blocks)) {
      if (node.type === "time" && timeTarget(all, node.start)?.id === attachment.id) found.add(node.start);
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** The browser shows the document; where it cannot, it opens it elsewhere. */
function Document(props: {
  attachment: Attachment;
  source: string;
  page: number;
  count: number;
  conversation: Conversation;
}): JSX.Element {
  const { attachment, source, page, count, conversation } = props;
  const rows = useStore(meter, ({ costs }) => costs.get(attachment.id)?.rows ?? null);
  const named = useMemo(() => pagesIn(conversation), [conversation]);
  const pages = rows?.map((row) => row.page ?? 0).filter((n) => n > 0) ?? [];
  const listed = pages.length ? pages : named;
  const address = `${source}#page=${page}`;
  return (
    <>
      <nav class="pages" aria-label="Pages">
        {listed.map((n) => (
          <button
            type="button"
            key={n}
            class={`chip page${named.includes(n) ? " named" : ""}`}
            aria-current={n === page ? "page" : undefined}
            aria-label={`Page ${n}`}
            onClick={() => show(attachment.id, { page: n })}
          >
            {n}
          </button>
        ))}
      </nav>
      {navigator.pdfViewerEnabled !== false ? (
        // A new frame each time: a changed fragment alone does not move every viewer.
        <iframe key={`${page}-${count}`} src={address} title={`${attachment.name}, page ${page}`} />
      ) : (
        <p class="viewer-note">This browser does not show documents inside a page.</p>
      )}
      <a class="viewer-note" href={address} target="_blank" rel="noopener">Open page {page} in a new tab</a>
    </>
  );
}

function pagesIn(conversation: Conversation): number[] {
  const found = new Set<number>();
  for (const { blocks, marks } of parsedAnswers(conversation)) {
    for (const node of inlines(blocks)) if (node.type === "page") found.add(node.page);
    for (const { page } of marks) if (page !== null) found.add(page);
  }
  return [...found].sort((a, b) => a - b);
}
