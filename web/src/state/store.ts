// One value that changes, and components that follow a part of it.
import { useEffect, useReducer, useRef } from "preact/hooks";

type Listener = () => void;

export class Store<T extends object> {
  private readonly listeners = new Set<Listener>();

  constructor(private value: T) {}

  get(): T {
    return this.value;
  }

  set(change: Partial<T> | ((value: T) => Partial<T>)): void {
    const patch = typeof change === "function" ? change(this.value) : change;
    this.value = { ...this.value, ...patch };
    for (const listener of [...this.listeners]) listener();
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** A part of a store; the component is drawn again when that part becomes another one. */
export function useStore<T extends object, P>(store: Store<T>, pick: (value: T) => P): P {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const picked = pick(store.get());
  const last = useRef(picked);
  const picker = useRef(pick);
  last.current = picked;
  picker.current = pick;
  useEffect(() => {
    const look = (): void => {
      if (!Object.is(picker.current(store.get()), last.current)) redraw(0);
    };
    look();
    return store.subscribe(look);
  }, [store]);
  return picked;
}
