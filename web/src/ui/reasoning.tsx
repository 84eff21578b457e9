// What the model thought: open while it thinks, with its budget running; closed afterwards.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { answerNow, live } from "../state/run.ts";
import { useStore } from "../state/store.ts";
import type { Answer } from "../state/types.ts";
import { grouped } from "../tokens/meter.ts";
import { Icon } from "./icons.tsx";

export function Reasoning({ answer }: { answer: Answer }): JSX.Element | null {
  const run = useStore(live, ({ run: now }) => (now?.answerId === answer.id ? now : null));
  const thinking = run?.phase === "thinking";
  const [chosen, setChosen] = useState<boolean | null>(null);
  const [asked, setAsked] = useState(false);
  const isOpen = chosen ?? thinking;
  const text = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = text.current;
    if (thinking && element) element.scrollTop = element.scrollHeight;
  }, [answer.reasoning, thinking]);
  if (!answer.reasoning) return null;
  const used = thinking ? run.thought : (answer.usage?.completion_tokens_details?.reasoning_tokens ?? 0);
  return (
    <section class={`reasoning${thinking ? " now" : ""}`} aria-label="Reasoning">
      <div class="reasoning-head">
        <button type="button" class="reasoning-toggle" aria-expanded={isOpen} onClick={() => setChosen(!isOpen)}>
          <Icon name={isOpen ? "down" : "right"} size={15} />
          <span>{thinking ? "Thinking" : `Thought${lasted(answer)}`}</span>
        </button>
        <Budget used={used} budget={answer.budget} />
        {thinking && (
          <button
            type="button"
            class="small-button"
            disabled={asked}
            onClick={() => {
              setAsked(true);
              void answerNow();
            }}
          >
            <Icon name="bolt" size={14} /> Answer now
          </button>
        )}
      </div>
      {isOpen && (
        <div class="reasoning-text" ref={text} tabIndex={0} role="region" aria-label="Text of the reasoning">
          {answer.reasoning}
        </div>
      )}
    </section>
  );
}

function lasted(answer: Answer): string {
  return answer.reasoningMs === null ? "" : ` for ${(answer.reasoningMs / 1000).toFixed(1)} s`;
}

function Budget({ used, budget }: { used: number; budget: number | null }): JSX.Element | null {
  if (!used) return null;
  if (!budget) return <span class="budget-use">{grouped(used)} tokens</span>;
  const share = Math.min(1, used / budget);
  return (
    <span class="budget-use">
      <span
        class={`budget-bar${share >= 0.9 ? " near" : ""}`}
        role="progressbar"
        aria-label="Thinking budget used"
        aria-valuemin={0}
        aria-valuemax={budget}
        aria-valuenow={Math.min(used, budget)}
      >
        <span style={{ width: `${share * 100}%` }} />
      </span>
      {grouped(used)} of {grouped(budget)} tokens
    </span>
  );
}
