// The state of the page, and what changes it. Components read stores and call functions from here;
// asking the model is in `run.ts`, counting tokens in `count.ts`.
import { Client } from "../api/client.ts";
import { ApiFailure } from "../api/errors.ts";
import type { AnswerSchema } from "../api/request.ts";
import type { ModelInfo } from "../api/types.ts";
import { blobOf, drop, hold, urlOf } from "../media/blobs.ts";
import { kindOf } from "../media/kinds.ts";
import { probeAudio, probeImage, probeVideo, type Probed } from "../media/probe.ts";
import { fromJsonSchema, PRESETS, toJsonSchema, type NamedSchema } from "../schema/fields.ts";
import { openShelf, type Shelf } from "./db.ts";
import { exported, imported } from "./portable.ts";
import { settings } from "./settings.ts";
import { Store } from "./store.ts";
import {
  emptyConversation,
  newId,
  NO_OPTIONS,
  type Attachment,
  type Conversation,
  type MediaOptions,
  type Turn,
} from "./types.ts";

export const client = new Client(document.baseURI, () => settings.get().key);

export type Connection = "connecting" | "ready" | "key" | "down";

export const server = new Store<{
  connection: Connection;
  problem: string;
  models: readonly ModelInfo[];
  model: ModelInfo | null;
}>({ connection: "connecting", problem: "", models: [], model: null });

export const chat = new Store<{ current: Conversation; all: readonly Conversation[]; lasting: boolean }>({
  current: emptyConversation(Date.now()),
  all: [],
  lasting: true,
});

export const draft = new Store<{
  text: string;
  attachments: readonly Attachment[];
  /** Turn that is being written anew. */
  editing: string;
  json: boolean;
  schemaName: string;
  schema: object;
}>({
  text: "",
  attachments: [],
  editing: "",
  json: false,
  schemaName: "invoice",
  schema: toJsonSchema((PRESETS[0] as NamedSchema).fields),
});

export const uploads = new Store<{ busy: ReadonlySet<string> }>({ busy: new Set() });

export type Panel = "" | "settings" | "camera" | "schema" | "compare" | "keys";

export const view = new Store<{
  panel: Panel;
  /** Attachment in the viewer, where to go in it, and what to mark. */
  viewer: { attachmentId: string; seekS: number | null; page: number | null; count: number } | null;
  comparing: readonly string[];
  options: string;
  drawer: boolean;
  /** Id of what gets the focus when a window closes; "" is what had it before. */
  focus: string;
}>({ panel: "", viewer: null, comparing: [], options: "", drawer: false, focus: "" });

export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

export const toasts = new Store<{ list: readonly Toast[]; said: string }>({ list: [], said: "" });

let shelf: Shelf | null = null;
let toastCount = 0;
const TOAST_MS = 6000;
const UPLOAD_ABOVE_BYTES = 256 << 10;

// --- start ---------------------------------------------------------------------------------------

export async function start(): Promise<void> {
  void connect();
  shelf = await openShelf();
  chat.set({ all: await shelf.all(), lasting: shelf.lasting });
}

export async function connect(): Promise<void> {
  server.set({ connection: "connecting", problem: "" });
  try {
    const models = await client.models();
    server.set({ connection: "ready", models, model: models[0] ?? null });
  } catch (error) {
    const failure = error instanceof ApiFailure ? error : new ApiFailure(String(error));
    server.set({
      connection: failure.status === 401 ? "key" : "down",
      problem: failure.message,
      model: null,
    });
  }
}

// --- messages to the person ----------------------------------------------------------------------

export function toast(text: string, action?: Toast["action"]): void {
  toastCount += 1;
  const made: Toast = { id: toastCount, text, ...(action ? { action } : {}) };
  toasts.set(({ list }) => ({ list: [...list.slice(-3), made], said: text }));
  setTimeout(() => closeToast(made.id), TOAST_MS);
}

export function closeToast(id: number): void {
  toasts.set(({ list }) => ({ list: list.filter((t) => t.id !== id) }));
}

/** For screen readers alone. */
export function say(text: string): void {
  toasts.set({ said: text });
}

export function open(panel: Panel, focus = ""): void {
  view.set({ panel, focus });
}

// --- conversations -------------------------------------------------------------------------------

export function change(make: (current: Conversation) => Conversation, save = true): void {
  const current = { ...make(chat.get().current), updatedAt: Date.now() };
  chat.set({ current });
  if (save) keep(current);
}

/** Write a conversation down. */
export function keep(conversation: Conversation): void {
  const others = chat.get().all.filter((c) => c.id !== conversation.id);
  chat.set({ all: [conversation, ...others] });
  shelf?.put(conversation).catch(() => toast("The browser could not store the conversation."));
}

export function newConversation(): void {
  chat.set({ current: emptyConversation(Date.now()) });
  draft.set({ text: "", attachments: [], editing: "" });
  view.set({ viewer: null, drawer: false });
}

export function openConversation(id: string): void {
  const found = chat.get().all.find((c) => c.id === id);
  if (!found) return;
  chat.set({ current: found });
  draft.set({ text: "", attachments: [], editing: "" });
  view.set({ viewer: null, drawer: false });
}

export function removeConversation(id: string): void {
  const found = chat.get().all.find((c) => c.id === id);
  if (!found) return;
  chat.set(({ all }) => ({ all: all.filter((c) => c.id !== id) }));
  void shelf?.remove(id);
  if (chat.get().current.id === id) newConversation();
  toast("Conversation deleted.", { label: "Undo", run: () => keep(found) });
}

export function renameConversation(id: string, title: string): void {
  const found = chat.get().all.find((c) => c.id === id);
  if (!found) return;
  const renamed = { ...found, title: title.trim() };
  keep(renamed);
  if (chat.get().current.id === id) chat.set({ current: renamed });
}

export function exportAll(): string {
  return exported(chat.get().all);
}

export function importFile(text: string): void {
  try {
    const found = imported(text);
    for (const conversation of found) keep(conversation);
    toast(`${found.length} conversation${found.length === 1 ? "" : "s"} imported.`);
  } catch (error) {
    toast(error instanceof Error ? error.message : "The file cannot be read.");
  }
}

export function changeTurn(turnId: string, make: (turn: Turn) => Turn, save = true): void {
  change(
    (current) => ({ ...current, turns: current.turns.map((t) => (t.id === turnId ? make(t) : t)) }),
    save,
  );
}

// --- the draft -----------------------------------------------------------------------------------

export async function addFiles(files: Iterable<File>): Promise<void> {
  for (const file of files) {
    const kind = kindOf(file.name, file.type);
    if (!kind) {
      toast(`${file.name}: not a picture, video, sound or PDF.`);
      continue;
    }
    const { model } = server.get();
    if (kind[0] === "audio" && model && !model.input_modalities.includes("audio")) {
      toast(`${file.name}: this server was started without speech recognition.`);
      continue;
    }
    await addMedia(file, file.name, kind[0], kind[1]);
  }
}

async function addMedia(blob: Blob, name: string, kind: Attachment["kind"], type: string): Promise<void> {
  const id = newId();
  hold(id, blob);
  const probed = await probe(id, blob, kind);
  const attachment: Attachment = {
    id,
    kind,
    name: name || `${kind}`,
    type,
    bytes: blob.size,
    ...probed,
    options: NO_OPTIONS,
    fileId: "",
  };
  draft.set(({ attachments }) => ({ attachments: [...attachments, attachment] }));
  say(`${attachment.name} attached.`);
  void upload(attachment);
}

function probe(id: string, blob: Blob, kind: Attachment["kind"]): Promise<Probed> {
  if (kind === "image") return probeImage(blob);
  if (kind === "video") return probeVideo(urlOf(id));
  if (kind === "audio") return probeAudio(urlOf(id));
  return Promise.resolve({ thumb: "", width: 0, height: 0, durationS: 0 });
}

/** Store larger files on the server once, where it takes them, instead of sending them each time. */
export async function upload(attachment: Attachment): Promise<void> {
  const blob = blobOf(attachment.id);
  if (!blob || blob.size < UPLOAD_ABOVE_BYTES || !server.get().model?.nanovl?.uploads) return;
  uploads.set(({ busy }) => ({ busy: new Set([...busy, attachment.id]) }));
  try {
    const fileId = await client.upload(blob, attachment.name, new AbortController().signal);
    changeAttachment(attachment.id, { fileId });
  } catch {
    // Without an upload the bytes travel with the question; a real problem shows up there.
  } finally {
    uploads.set(({ busy }) => ({ busy: new Set([...busy].filter((id) => id !== attachment.id)) }));
  }
}

/** Change an attachment wherever it is: in the draft, or in the conversation. */
export function changeAttachment(id: string, patch: Partial<Attachment>): void {
  const swap = (list: readonly Attachment[]): readonly Attachment[] =>
    list.some((a) => a.id === id) ? list.map((a) => (a.id === id ? { ...a, ...patch } : a)) : list;
  draft.set(({ attachments }) => ({ attachments: swap(attachments) }));
  if (chat.get().current.turns.some((t) => t.attachments.some((a) => a.id === id))) {
    change((c) => ({ ...c, turns: c.turns.map((t) => ({ ...t, attachments: swap(t.attachments) })) }));
  }
}

export function setOptions(id: string, patch: Partial<MediaOptions>): void {
  const found = findAttachment(id);
  if (found) changeAttachment(id, { options: { ...found.options, ...patch } });
}

export function removeAttachment(id: string): void {
  const used = chat.get().current.turns.some((t) => t.attachments.some((a) => a.id === id));
  if (!used) drop(id);
  draft.set(({ attachments }) => ({ attachments: attachments.filter((a) => a.id !== id) }));
  if (view.get().options === id) view.set({ options: "" });
}

export function findAttachment(id: string): Attachment | null {
  const sent = chat.get().current.turns.flatMap((t) => t.attachments);
  return [...draft.get().attachments, ...sent].find((a) => a.id === id) ?? null;
}

/** Take a question back into the composer; sending it replaces it and what came after. */
export function edit(turnId: string): void {
  const turn = chat.get().current.turns.find((t) => t.id === turnId);
  if (turn) draft.set({ text: turn.text, attachments: turn.attachments, editing: turnId });
}

export function cancelEdit(): void {
  draft.set({ text: "", attachments: [], editing: "" });
}

/** The schema answers are held to, or null. */
export function chosenSchema(): AnswerSchema | null {
  const { json, schema, schemaName } = draft.get();
  return json ? { name: schemaName, schema } : null;
}

export function isSimple(schema: object): boolean {
  return fromJsonSchema(schema) !== null;
}

// --- the viewer ----------------------------------------------------------------------------------

export function show(attachmentId: string, place: { seekS?: number; page?: number } = {}): void {
  const count = (view.get().viewer?.count ?? 0) + 1;
  view.set({
    viewer: { attachmentId, seekS: place.seekS ?? null, page: place.page ?? null, count },
  });
}
