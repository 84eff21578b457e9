// Conversations in the browser's database. Media is never written, only small pictures of it. Where
// there is no database (some private windows) they live as long as the page.
import { conversation } from "./portable.ts";
import type { Conversation } from "./types.ts";

const NAME = "nanovl";
const STORE = "conversations";

export interface Shelf {
  all(): Promise<Conversation[]>;
  put(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
  readonly lasting: boolean;
}

export async function openShelf(): Promise<Shelf> {
  try {
    return new DatabaseShelf(await open());
  } catch {
    return new MemoryShelf();
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no database"));
    request.onblocked = () => reject(new Error("database is blocked"));
  });
}

class DatabaseShelf implements Shelf {
  readonly lasting = true;

  constructor(private readonly db: IDBDatabase) {
    // Another tab may bring a newer page with a newer database.
    db.onversionchange = () => db.close();
  }

  async all(): Promise<Conversation[]> {
    const values = await this.run("readonly", (store) => store.getAll() as IDBRequest<unknown[]>);
    return values.map(conversation).sort((a, b) => b.updatedAt - a.updatedAt);
  }

  async put(value: Conversation): Promise<void> {
    await this.run("readwrite", (store) => store.put(value));
  }

  async remove(id: string): Promise<void> {
    await this.run("readwrite", (store) => store.delete(id));
  }

  async clear(): Promise<void> {
    await this.run("readwrite", (store) => store.clear());
  }

  private run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const work = this.db.transaction(STORE, mode);
      const request = ask(work.objectStore(STORE));
      work.oncomplete = () => resolve(request.result);
      work.onabort = () => reject(work.error ?? new Error("the browser's database refused"));
    });
  }
}

export class MemoryShelf implements Shelf {
  readonly lasting = false;
  private readonly kept = new Map<string, Conversation>();

  async all(): Promise<Conversation[]> {
    return [...this.kept.values()].sort((a, b) => b.updatedAt - a.updatedAt);
  }

  async put(value: Conversation): Promise<void> {
    this.kept.set(value.id, value);
  }

  async remove(id: string): Promise<void> {
    this.kept.delete(id);
  }

  async clear(): Promise<void> {
    this.kept.clear();
  }
}
