/** A real Chromium, for as long as a test needs it. */
import { accessSync, constants } from "node:fs";
import { chromium, type Browser, type Page } from "playwright-core";

const executablePath = "/usr/bin/chromium";

function exists(): boolean {
  try {
    accessSync(executablePath, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether the tests can run here. Where CI is set they must, and fail without it. */
export const isInstalled: boolean = exists();
if (!isInstalled && !process.env["CI"])
  console.warn(`${executablePath} is not there; Debian has it as the package \`chromium\`. Its tests are skipped.`);

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A contrast ratio of WCAG 2.2. */
export function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].toSorted((x, y) => y - x);
  return ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05);
}

/** The relative luminance of `#rrggbb`, or of what a browser calls `rgb(…)`, `rgba(…)` or `color(srgb …)`. */
function luminance(color: string): number {
  const values = color.startsWith("#")
    ? (color.match(/[0-9a-f]{2}/gi) ?? []).map((part) => Number.parseInt(part, 16) / 255)
    : (color.match(/[\d.]+/g) ?? []).map((part) => Number(part) / (color.startsWith("rgb") ? 255 : 1));
  if (values.length < 3) throw new Error(`${color} is no colour.`);
  const [red = 0, green = 0, blue = 0] = values.map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** A text on the page that is seen, with its colour and that of what is behind it. */
export interface SeenText {
  readonly text: string;
  readonly color: string;
  readonly background: string;
}

/** All texts of the page that are seen. */
export function seenTexts(page: Page): Promise<readonly SeenText[]> {
  return page.evaluate(`(() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.data.trim();
      if (text === "" || ["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
      let behind = element;
      while (behind !== null && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
      found.push({
        text,
        color: getComputedStyle(element).color,
        background: behind === null ? "none" : getComputedStyle(behind).backgroundColor,
      });
    }
    return found;
  })()`);
}
