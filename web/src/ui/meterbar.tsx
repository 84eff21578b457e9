// The token meter: what the next question costs, against what the context holds.
import type { JSX } from "preact";
import { meter } from "../state/count.ts";
import { settings } from "../state/settings.ts";
import { useStore } from "../state/store.ts";
import { grouped, segments } from "../tokens/meter.ts";
import { apply, useRemedies } from "./errorcard.tsx";

export function MeterBar(): JSX.Element | null {
  const { count, limit, costs, attachments, problem, busy } = useStore(meter, (m) => m);
  const maxTokens = useStore(settings, (s) => s.maxTokens);
  const { excess, found } = useRemedies();
  if (problem) {
    return <p class="meter-problem" role="status">{problem}</p>;
  }
  if (!count || !limit) return null;
  const parts = segments(count, limit, maxTokens ?? 0, attachments, costs);
  const over = excess > 0;
  return (
    <div class={`meter${over ? " over" : ""}${busy ? " busy" : ""}`}>
      <div
        class="meter-bar"
        role="meter"
        aria-label="Tokens of the next question"
        aria-valuemin={0}
        aria-valuemax={limit}
        aria-valuenow={Math.min(count, limit)}
        aria-valuetext={`${grouped(count)} of ${grouped(limit)} tokens`}
      >
        {parts.map((part, index) => (
          <span
            key={index}
            class={`meter-part ${part.kind}`}
            style={{ width: `${part.share * 100}%` }}
            title={`${part.name}: ${grouped(part.tokens)} tokens`}
          />
        ))}
      </div>
      <span class="meter-text">
        {grouped(count)} of {grouped(limit)} tokens
      </span>
      {over && (
        <div class="meter-over" role="alert">
          <span>
            {grouped(excess)} tokens too many.{found.length ? "" : " Remove something, or start a new conversation."}
          </span>
          {found.map((way) => (
            <button
              type="button"
              class="small-button"
              key={way.label}
              onClick={() => apply(way)}
            >
              {way.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
