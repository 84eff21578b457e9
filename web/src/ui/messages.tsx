// The conversation: questions and answers, following the newest line while one is being written.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { chat, edit } from "../state/app.ts";
import { live } from "../state/run.ts";
import { useStore } from "../state/store.ts";
import type { Turn } from "../state/types.ts";
import { AnswerView } from "./answer.tsx";
import { SentChip } from "./chips.tsx";
import { compareTurn } from "./compare.tsx";
import { IconButton } from "./controls.tsx";
import { copy } from "./save.ts";
import { Welcome } from "./welcome.tsx";

const NEAR_END_PX = 80;

export function Messages(): JSX.Element {
  const { id, turns } = useStore(chat, ({ current }) => current);
  const list = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLOListElement>(null);
  const [follows, setFollows] = useState(true);
  const toEnd = (): void => {
    const element = list.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(() => {
    if (follows) toEnd();
  }, [turns, follows]);
  useEffect(() => setFollows(true), [id, turns.length]);
  useEffect(() => {
    // Pictures and formulas grow after they are there.
    const element = content.current;
    if (!follows || !element) return;
    const watch = new ResizeObserver(toEnd);
    watch.observe(element);
    return () => watch.disconnect();
  }, [follows, turns.length > 0]);
  return (
    <div
      class="messages"
      ref={list}
      tabIndex={0}
      role="region"
      aria-label="Conversation"
      onScroll={(event) => {
        const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
        setFollows(scrollHeight - scrollTop - clientHeight < NEAR_END_PX);
      }}
    >
      {turns.length ? (
        <ol class="turns" ref={content}>
          {turns.map((turn, index) => (
            <TurnView key={turn.id} turn={turn} before={turns.slice(0, index + 1)} />
          ))}
        </ol>
      ) : (
        <Welcome />
      )}
      {!follows && turns.length > 0 && (
        <IconButton icon="down" class="to-end" label="Go to the end" onClick={() => setFollows(true)} />
      )}
    </div>
  );
}

function TurnView({ turn, before }: { turn: Turn; before: readonly Turn[] }): JSX.Element {
  const answer = turn.answers[turn.shown];
  const attachments = before.flatMap((t) => t.attachments);
  return (
    <li class="turn">
      <Question turn={turn} />
      {answer && <AnswerView key={answer.id} turn={turn} answer={answer} attachments={attachments} />}
    </li>
  );
}

function Question({ turn }: { turn: Turn }): JSX.Element {
  const busy = useStore(live, ({ run }) => run !== null);
  const images = turn.attachments.filter((a) => a.kind === "image");
  return (
    <article class="question" aria-label="Question">
      <h2 class="sr">Question</h2>
      {turn.attachments.length > 0 && (
        <ul class="sent-chips" aria-label="Attachments">
          {turn.attachments.map((a) => <SentChip key={a.id} attachment={a} />)}
        </ul>
      )}
      {turn.text && <div class="question-text">{turn.text}</div>}
      <div class="actions">
        {images.length >= 2 && <IconButton icon="compare" label="Compare the images" size={16} onClick={() => compareTurn(turn.id)} />}
        <IconButton icon="pen" label="Edit and send again" size={16} disabled={busy} onClick={() => edit(turn.id)} />
        {turn.text && <IconButton icon="copy" label="Copy the question" size={16} onClick={() => void copy(turn.text)} />}
      </div>
    </article>
  );
}
