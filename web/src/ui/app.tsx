// The page: conversations left, the conversation in the middle, the viewer right.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { addFiles, chat, closeToast, connect, newConversation, open, server, toasts, view } from "../state/app.ts";
import { live, stop } from "../state/run.ts";
import { settings } from "../state/settings.ts";
import { useStore } from "../state/store.ts";
import { titleOf } from "../state/types.ts";
import { grouped } from "../tokens/meter.ts";
import { Camera } from "./camera.tsx";
import { Compare } from "./compare.tsx";
import { Composer } from "./composer.tsx";
import { IconButton } from "./controls.tsx";
import { Icon } from "./icons.tsx";
import { Messages } from "./messages.tsx";
import { SchemaEditor } from "./schema.tsx";
import { KeysDialog, SettingsDialog } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Viewer } from "./viewer.tsx";

export function App(): JSX.Element {
  const wide = useStore(settings, (s) => s.sidebar);
  const drawer = useStore(view, (v) => v.drawer);
  const viewing = useStore(view, (v) => v.viewer !== null);
  const said = useStore(toasts, (t) => t.said);
  useKeys();
  usePaste();
  const dropping = useDrop();
  return (
    <div class={`layout${wide ? " with-sidebar" : ""}${drawer ? " drawer" : ""}${viewing ? " with-viewer" : ""}`}>
      <a class="skip" href="#question">Skip to the question</a>
      <Sidebar />
      <button type="button" class="shade" aria-label="Close the list" tabIndex={-1} onClick={() => view.set({ drawer: false })} />
      <main>
        <Header />
        <Messages />
        <Composer />
      </main>
      <Viewer />
      <Panel />
      {dropping && <div class="drop" aria-hidden="true"><Icon name="clip" size={40} /><p>Drop to attach</p></div>}
      <Toasts />
      <div class="sr" role="status" aria-live="polite">{said}</div>
    </div>
  );
}

function Header(): JSX.Element {
  const { connection, model } = useStore(server, (s) => s);
  const title = useStore(chat, ({ current }) => (current.turns.length ? titleOf(current) : ""));
  useEffect(() => {
    document.title = title ? `${title} \u00b7 nanovl` : "nanovl";
  }, [title]);
  const toggle = (): void => {
    if (matchMedia("(max-width: 800px)").matches) view.set(({ drawer }) => ({ drawer: !drawer }));
    else settings.set(({ sidebar }) => ({ sidebar: !sidebar }));
  };
  return (
    <header class="header">
      <IconButton icon="menu" label="Conversations" onClick={toggle} />
      <span class="brand">nanovl</span>
      {title ? <h1 class="title">{title}</h1> : <span class="title" />}
      {connection === "ready" && model && (
        <span class="model" title={`${model.id}, context of ${grouped(model.max_model_len)} tokens`}>
          <span class="dot" aria-hidden="true" />
          {model.id}
        </span>
      )}
      {connection === "connecting" && <span class="model">Connecting{"\u2026"}</span>}
      {connection === "down" && (
        <button type="button" class="small-button bad" onClick={() => void connect()}>Not connected, try again</button>
      )}
      {connection === "key" && (
        <button type="button" class="small-button bad" onClick={() => open("settings")}>API key needed</button>
      )}
      <IconButton icon="plus" class="only-small" label="New conversation" onClick={newConversation} />
    </header>
  );
}

function Panel(): JSX.Element | null {
  const panel = useStore(view, (v) => v.panel);
  switch (panel) {
    case "settings":
      return <SettingsDialog />;
    case "camera":
      return <Camera />;
    case "schema":
      return <SchemaEditor />;
    case "compare":
      return <Compare />;
    case "keys":
      return <KeysDialog />;
    case "":
      return null;
  }
}

function Toasts(): JSX.Element {
  const list = useStore(toasts, (t) => t.list);
  return (
    <div class="toasts">
      {list.map((toast) => (
        <div class="toast" key={toast.id}>
          <span>{toast.text}</span>
          {toast.action && (
            <button
              type="button"
              onClick={() => {
                toast.action?.run();
                closeToast(toast.id);
              }}
            >
              {toast.action.label}
            </button>
          )}
          <IconButton icon="close" label="Close the message" size={14} onClick={() => closeToast(toast.id)} />
        </div>
      ))}
    </div>
  );
}

function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      const inDialog = target.closest("dialog") !== null;
      if (event.key === "Escape" && !inDialog) {
        if (live.get().run) stop();
        else view.set({ viewer: null, options: "", drawer: false });
      } else if (event.altKey && !inDialog && event.code === "KeyN") newConversation();
      else if (event.altKey && !inDialog && event.code === "KeyU") {
        document.querySelector<HTMLInputElement>(".composer input[type=file]")?.click();
      } else if (event.altKey && !inDialog && event.code === "KeyT") {
        settings.set(({ budget }) => ({ budget: budget === 0 ? 2048 : 0 }));
      } else if (event.key === "/" && !writing && !inDialog) document.getElementById("question")?.focus();
      else if (event.key === "?" && !writing && !inDialog) open("keys");
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function usePaste(): void {
  useEffect(() => {
    const onPaste = (event: ClipboardEvent): void => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      void addFiles(files);
    };
    addEventListener("paste", onPaste);
    return () => removeEventListener("paste", onPaste);
  }, []);
}

/** Files dropped anywhere are attached; true while some are held over the page. */
function useDrop(): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const onOver = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      void addFiles([...(event.dataTransfer?.files ?? [])]);
    };
    addEventListener("dragover", onOver);
    addEventListener("dragleave", onLeave);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onOver);
      removeEventListener("dragleave", onLeave);
      removeEventListener("drop", onDrop);
    };
  }, []);
  return over;
}
