// What a person chose, kept in the browser; the key only for the tab unless asked to remember it.
import { isObject } from "../api/errors.ts";
import { Store } from "./store.ts";

export type Theme = "auto" | "light" | "dark";

export interface Settings {
  readonly theme: Theme;
  readonly system: string;
  /** Tokens to think: 0 is not at all, null is without limit. */
  readonly budget: number | null;
  readonly maxTokens: number | null;
  readonly temperature: number | null;
  readonly seed: number | null;
  readonly key: string;
  readonly rememberKey: boolean;
  readonly sidebar: boolean;
}

const NAME = "nanovl.settings";
const KEY_NAME = "nanovl.key";

const DEFAULTS: Settings = {
  theme: "auto",
  system: "",
  budget: 0,
  maxTokens: null,
  temperature: null,
  seed: null,
  key: "",
  rememberKey: false,
  sidebar: true,
};

/** Steps of the slider: fine where thinking is short. */
export const BUDGETS: readonly number[] = [
  0, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 10240, 12288, 14336, 16384,
];

export const settings = new Store<Settings>(read());

settings.subscribe(() => {
  const { key, ...rest } = settings.get();
  try {
    localStorage.setItem(NAME, JSON.stringify(rest));
    (rest.rememberKey ? localStorage : sessionStorage).setItem(KEY_NAME, key);
    (rest.rememberKey ? sessionStorage : localStorage).removeItem(KEY_NAME);
  } catch {
    // No storage in this window: the settings live as long as the page.
  }
});

function read(): Settings {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    const stored = isObject(value) ? value : {};
    const numeric = (name: keyof Settings, low: number, high: number): number | null | undefined => {
      const given = stored[name];
      if (given === null) return null;
      return typeof given === "number" && given >= low && given <= high ? given : undefined;
    };
    const budget = numeric("budget", 0, 16384);
    return {
      ...DEFAULTS,
      theme: stored["theme"] === "light" || stored["theme"] === "dark" ? stored["theme"] : "auto",
      system: typeof stored["system"] === "string" ? stored["system"] : "",
      budget: budget === undefined ? DEFAULTS.budget : budget,
      maxTokens: numeric("maxTokens", 1, 1e7) ?? null,
      temperature: numeric("temperature", 0, 2) ?? null,
      seed: numeric("seed", 0, 2 ** 53) ?? null,
      rememberKey: stored["rememberKey"] === true,
      sidebar: stored["sidebar"] !== false,
      key: sessionStorage.getItem(KEY_NAME) ?? localStorage.getItem(KEY_NAME) ?? "",
    };
  } catch {
    return DEFAULTS;
  }
}

/** Follow the chosen theme, and the system's where nothing is chosen. */
export function followTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = (): void => {
    const { theme } = settings.get();
    document.documentElement.dataset["theme"] =
      theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  };
  dark.addEventListener("change", apply);
  settings.subscribe(apply);
  apply();
}
