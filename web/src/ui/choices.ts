// Settings as the controls change them.
import { BUDGETS, settings } from "../state/settings.ts";
import { grouped } from "../tokens/meter.ts";

export function setMaxTokens(maxTokens: number | null): void {
  settings.set({ maxTokens });
}

/** The step of the slider that is nearest below a budget. */
export function budgetStep(budget: number | null): number {
  if (budget === null) return BUDGETS.length - 1;
  return Math.max(0, BUDGETS.findLastIndex((b) => b <= budget));
}

export function budgetText(budget: number | null): string {
  if (budget === null) return "No limit";
  return budget === 0 ? "Off" : `${grouped(budget)} tokens`;
}
