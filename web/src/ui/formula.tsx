// Formulas. The typesetter is loaded when the first one comes; until then its source is shown.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

type Typesetter = (text: string, element: HTMLElement, display: boolean) => void;

let typesetter: Typesetter | null = null;
let loading: Promise<Typesetter> | null = null;
const LONGEST = 10_000;

function load(): Promise<Typesetter> {
  loading ??= import("./typeset.ts").then((module) => (typesetter = module.typeset));
  return loading;
}

export function Formula({ text, display = false }: { text: string; display?: boolean }): JSX.Element {
  const place = useRef<HTMLElement>(null);
  const [ready, setReady] = useState<Typesetter | null>(() => typesetter);
  useEffect(() => {
    if (ready) return;
    let gone = false;
    load().then(
      (found) => {
        if (!gone) setReady(() => found);
      },
      () => undefined, // the source stays
    );
    return () => {
      gone = true;
    };
  }, [ready]);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    if (ready && text.length <= LONGEST) ready(text, element, display);
    else element.textContent = text;
  }, [ready, text, display]);
  const Tag = display ? "div" : "span";
  return (
    <Tag
      class={display ? "formula display" : "formula"}
      ref={(element: HTMLElement | null) => {
        place.current = element;
      }}
    />
  );
}
