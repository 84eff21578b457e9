// The typesetter of formulas, with everything off that reaches outside a formula.
import { render } from "katex";
import "katex/dist/katex.min.css";

export function typeset(text: string, element: HTMLElement, display: boolean): void {
  render(text, element, {
    displayMode: display,
    throwOnError: false,
    trust: false,
    strict: "ignore",
    maxExpand: 200,
    maxSize: 20,
    errorColor: "currentColor",
  });
}
