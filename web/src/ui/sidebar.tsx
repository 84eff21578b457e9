// Conversations of this browser, and what moves them in and out.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import {
  chat,
  exportAll,
  importFile,
  newConversation,
  open,
  openConversation,
  removeConversation,
  renameConversation,
} from "../state/app.ts";
import { useStore } from "../state/store.ts";
import { titleOf, type Conversation } from "../state/types.ts";
import { IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";
import { download } from "./save.ts";

const DAY_MS = 86_400_000;

export function Sidebar(): JSX.Element {
  const { all, current, lasting } = useStore(chat, (c) => c);
  const [words, setWords] = useState("");
  const file = useRef<HTMLInputElement>(null);
  const found = all.filter((c) => matches(c, words));
  const groups = new Map<string, Conversation[]>();
  for (const c of found) groups.set(age(c.updatedAt), [...(groups.get(age(c.updatedAt)) ?? []), c]);
  return (
    <nav class="sidebar" aria-label="Conversations">
      <button type="button" class="button new-chat" onClick={newConversation}>
        <Icon name="plus" size={16} /> New conversation
      </button>
      {all.length > 6 && (
        <input
          type="search"
          aria-label="Search conversations"
          placeholder="Search"
          value={words}
          onInput={(event) => setWords(event.currentTarget.value)}
        />
      )}
      <div class="sidebar-list">
        {[...groups].map(([name, list]) => (
          <section key={name} aria-label={name}>
            <h2>{name}</h2>
            <ul>
              {list.map((c) => <Entry key={c.id} conversation={c} current={c.id === current.id} />)}
            </ul>
          </section>
        ))}
        {!all.length && <p class="sidebar-empty">Conversations stay in this browser. Media is never stored, only small pictures of it.</p>}
        {!lasting && <p class="sidebar-empty">This window keeps nothing after it is closed.</p>}
      </div>
      <div class="sidebar-foot">
        <input
          ref={file}
          type="file"
          class="hidden"
          accept="application/json,.json"
          aria-label="File with conversations"
          tabIndex={-1}
          onChange={(event) => {
            const chosen = event.currentTarget.files?.[0];
            event.currentTarget.value = "";
            void chosen?.text().then(importFile);
          }}
        />
        <IconButton icon="import" label="Import conversations" onClick={() => file.current?.click()} />
        <IconButton
          icon="export"
          label="Export conversations"
          disabled={!all.length}
          onClick={() => download(exportAll(), "conversations.json", "application/json")}
        />
        <span class="spring" />
        <button type="button" class="icon-button" aria-label="Keyboard" title="Keyboard" onClick={() => open("keys")}>
          <kbd>?</kbd>
        </button>
        <IconButton icon="gear" label="Settings" onClick={() => open("settings")} />
      </div>
    </nav>
  );
}

function Entry({ conversation, current }: { conversation: Conversation; current: boolean }): JSX.Element {
  const [naming, setNaming] = useState(false);
  const title = titleOf(conversation);
  if (naming) {
    return (
      <li>
        <input
          class="rename"
          aria-label="Name of the conversation"
          defaultValue={title}
          ref={(element) => element?.focus()}
          onBlur={(event) => {
            setNaming(false);
            renameConversation(conversation.id, event.currentTarget.value);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
            event.stopPropagation();
          }}
        />
      </li>
    );
  }
  return (
    <li class={current ? "current" : ""}>
      <button type="button" class="entry" aria-current={current ? "page" : undefined} title={title} onClick={() => openConversation(conversation.id)}>
        {title}
      </button>
      <IconButton icon="pen" label={`Rename ${title}`} size={14} onClick={() => setNaming(true)} />
      <IconButton icon="trash" label={`Delete ${title}`} size={14} onClick={() => removeConversation(conversation.id)} />
    </li>
  );
}

function matches(conversation: Conversation, words: string): boolean {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return true;
  const texts = conversation.turns.flatMap((t) => [t.text, ...t.answers.map((a) => a.text)]);
  return [titleOf(conversation), ...texts].some((text) => text.toLowerCase().includes(wanted));
}

function age(at: number): string {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (at >= midnight) return "Today";
  if (at >= midnight - DAY_MS) return "Yesterday";
  return at >= midnight - 7 * DAY_MS ? "Last seven days" : "Earlier";
}
