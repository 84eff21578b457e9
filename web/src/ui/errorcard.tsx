// What went wrong, and buttons that mend it.
import type { JSX } from "preact";
import { ApiFailure, explain } from "../api/errors.ts";
import { chat, edit, newConversation, open, setOptions } from "../state/app.ts";
import { meter } from "../state/count.ts";
import { regenerate } from "../state/run.ts";
import { settings } from "../state/settings.ts";
import { setMaxTokens } from "./choices.ts";
import { useStore } from "../state/store.ts";
import type { AnswerError } from "../state/types.ts";
import { advised, grouped, remedies, reserve, together, type Remedy } from "../tokens/meter.ts";
import { Icon } from "./icons.tsx";

/** Settings that would make the prompt fit; none when it does. */
export function useRemedies(): { excess: number; found: readonly Remedy[] } {
  const { count, limit, costs, attachments } = useStore(meter, (m) => m);
  const excess = limit ? count + reserve(limit) - limit : 0;
  return { excess, found: remedies(attachments, costs, excess) };
}

/** Apply what a remedy says. */
export function apply({ changes }: Remedy): void {
  for (const { attachmentId, change } of changes) setOptions(attachmentId, change);
}

export function ErrorCard({ error, turnId }: { error: AnswerError; turnId: string }): JSX.Element {
  const { title, text, remedies: ways } = explain(new ApiFailure(error.message, error));
  const { excess, found } = useRemedies();
  const turns = useStore(chat, ({ current }) => current.turns);
  const wanted = found.length ? null : advised(error.message);
  const offered = wanted ? [together(turns.flatMap((t) => t.attachments), wanted)] : found;
  const maxTokens = useStore(settings, (s) => s.maxTokens);
  const isLast = turns.at(-1)?.id === turnId;
  const again = (): void => void regenerate(turnId);
  return (
    <div class="error-card" role="alert">
      <Icon name="warn" size={20} />
      <div>
        <h3>{title}</h3>
        <p>{text}</p>
        {excess > 0 && isLast && offered.length > 0 && (
          <p class="error-more">{grouped(excess)} tokens too many. This makes it fit:</p>
        )}
        {isLast && (
          <div class="error-ways">
            {ways.includes("fewer-frames") &&
              offered.map((way) => (
                <button
                  type="button"
                  class="button primary"
                  key={way.label}
                  onClick={() => {
                    apply(way);
                    again();
                  }}
                >
                  {way.label}
                </button>
              ))}
            {ways.includes("shorter-answer") && maxTokens !== null && (
              <button
                type="button"
                class="button"
                onClick={() => {
                  setMaxTokens(null);
                  again();
                }}
              >
                Let the answer take what is left
              </button>
            )}
            {ways.includes("key") && (
              <button type="button" class="button primary" onClick={() => open("settings")}>
                Enter the API key
              </button>
            )}
            {ways.includes("attach-again") && (
              <button type="button" class="button primary" onClick={() => edit(turnId)}>
                Change the attachments
              </button>
            )}
            {ways.includes("retry") && <button type="button" class="button" onClick={again}>Try again</button>}
            {ways.includes("new-chat") && (
              <button type="button" class="button" onClick={newConversation}>Start a new conversation</button>
            )}
          </div>
        )}
      </div>
    </div>
  );
}
