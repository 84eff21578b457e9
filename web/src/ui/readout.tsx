// One quiet line of figures under an answer.
import type { JSX } from "preact";
import type { Answer } from "../state/types.ts";
import { grouped } from "../tokens/meter.ts";

export function Readout({ answer }: { answer: Answer }): JSX.Element | null {
  const { usage, timings } = answer;
  if (!usage) return null;
  const reasoning = usage.completion_tokens_details?.reasoning_tokens ?? 0;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const ttft = timings?.ttft_ms ?? answer.ttftMs;
  const rows: [string, string, string][] = [];
  if (ttft) rows.push(["First token", seconds(ttft), "Time to the first token"]);
  if (timings?.decode_tok_s) {
    rows.push(["Speed", `${timings.decode_tok_s.toFixed(1)} tok/s`, "Tokens per second while writing"]);
  }
  rows.push(["Answer", `${grouped(Math.max(0, usage.completion_tokens - reasoning))} tok`, "Tokens of the answer"]);
  if (reasoning) rows.push(["Reasoning", `${grouped(reasoning)} tok`, "Tokens of the reasoning"]);
  rows.push(["Prompt", `${grouped(usage.prompt_tokens)} tok`, "Tokens of the prompt, media included"]);
  if (cached) {
    const share = Math.round((100 * cached) / Math.max(1, usage.prompt_tokens));
    rows.push(["Cached", `${grouped(cached)} tok (${share}%)`, "Tokens of the prompt that were not computed again"]);
  }
  return (
    <dl class="readout" aria-label="Figures of this answer">
      {rows.map(([name, value, title]) => (
        <div key={name} title={title}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
