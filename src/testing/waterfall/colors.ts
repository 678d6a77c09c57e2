import type { Category } from "./category.ts";

/** The colours of the pictures, in a light and a dark theme. */
export interface Palette {
  readonly background: string;
  /** Behind what is raised or selected. */
  readonly raised: string;
  readonly text: string;
  readonly quiet: string;
  readonly line: string;
  readonly failed: string;
  /** What keeps a trace from being whole. */
  readonly warning: string;
  readonly bars: Readonly<Record<Category, string>>;
}

// Text has a contrast of 4.5 and more to its background, bars of 3 and more (WCAG 2.2 AA): tests compute them.

export const light: Palette = {
  background: "#ffffff",
  raised: "#f3f5f8",
  text: "#171b21",
  quiet: "#59626f",
  line: "#dfe3e9",
  failed: "#c92a22",
  warning: "#8f5600",
  bars: {
    orchestration: "#4a4fd8",
    scheduled: "#7f8ba0",
    activity: "#0b8a73",
    wait: "#b8770f",
    event: "#a03fc4",
    code: "#2a80c9",
  },
};

export const dark: Palette = {
  background: "#11151b",
  raised: "#1b212a",
  text: "#e7eaef",
  quiet: "#9ba6b5",
  line: "#2a323d",
  failed: "#ff7a70",
  warning: "#e8b04b",
  bars: {
    orchestration: "#8f95ff",
    scheduled: "#6c788c",
    activity: "#3cc7a6",
    wait: "#dc9c36",
    event: "#cf86ee",
    code: "#5fb0f2",
  },
};
