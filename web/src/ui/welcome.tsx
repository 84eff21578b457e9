// What an empty conversation shows: what can be asked, ready to be used.
import type { JSX } from "preact";
import { connect, draft, open, server } from "../state/app.ts";
import { useStore } from "../state/store.ts";
import { Icon, type IconName } from "./icons.tsx";

const IDEAS: readonly [IconName, string, string][] = [
  ["pdf", "Read a document", "Turn this page into Markdown, tables included."],
  ["image", "Find things in a picture", "Find every object and give its box."],
  ["video", "Summarise a video", "Summarise this video in five points with timestamps."],
  ["compare", "Compare two images", "What is different between the two images?"],
];

export function Welcome(): JSX.Element {
  const { connection, problem, model } = useStore(server, (s) => s);
  return (
    <div class="welcome">
      <h1>What shall we look at?</h1>
      {connection === "key" && (
        <div class="notice" role="alert">
          <Icon name="key" />
          <p>This server asks for an API key.</p>
          <button type="button" class="button primary" onClick={() => open("settings")}>Enter the key</button>
        </div>
      )}
      {connection === "down" && (
        <div class="notice" role="alert">
          <Icon name="warn" />
          <p>{problem}</p>
          <button type="button" class="button" onClick={() => void connect()}>Try again</button>
        </div>
      )}
      <ul class="ideas">
        {IDEAS.map(([icon, title, text]) => (
          <li key={title}>
            <button
              type="button"
              onClick={() => {
                draft.set({ text });
                document.getElementById("question")?.focus();
              }}
            >
              <Icon name={icon} size={20} />
              <strong>{title}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
      {model && <p class="welcome-note">Everything stays between this browser and {location.host || "the server"}.</p>}
    </div>
  );
}
