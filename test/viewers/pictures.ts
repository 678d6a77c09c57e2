/** Pictures of Perses' trace view in Chromium. */
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

const width = 1280;
const installed = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
// As root in a sandbox of its own, without the look-ups of a browser that somebody uses.
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What to show of a trace. */
export interface View {
  readonly traceId: string;
  /** The span whose details are open. */
  readonly spanId?: string;
  /** The tab of the details; default: the attributes. */
  readonly tab?: "Events" | "Links";
  /** The event whose attributes are open. */
  readonly event?: string;
  /** How many spans the view must show. */
  readonly rows: number;
  /** The height of the picture in pixels, if it need not show all of them. */
  readonly height?: number;
}

/** The path of Chromium: `CHROMIUM`, else where it is usually installed. @throws Error if it is nowhere */
export function findChromium(): string {
  const path = process.env["CHROMIUM"] ?? installed.find((each) => existsSync(each));
  if (path !== undefined && existsSync(path)) return path;
  throw new Error(
    `There is no Chromium at ${path ?? installed.join(", ")}. Install it, or set CHROMIUM to the path of its binary.`,
  );
}

/** Starts Chromium. */
export async function openBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: flags });
}

/** Takes a picture of a trace. @param path of the file @throws Error if the page does not show what it should, or reports an error */
export async function takePicture(browser: Browser, url: string, path: string, view: View): Promise<string> {
  const { traceId, spanId, tab, event, rows, height } = view;
  const page = await browser.newPage({ viewport: { width, height: height ?? 230 + 32 * rows } });
  try {
    const errors: string[] = [];
    page.on("pageerror", ({ message }) => errors.push(message));
    const address = new URL(url);
    address.searchParams.set("trace", traceId);
    if (spanId !== undefined) address.searchParams.set("span", spanId);
    await page.goto(address.href);
    await page.locator("[data-index]").first().waitFor();
    if (spanId !== undefined) await drag(page, "details", 0.62 * width);
    await drag(page, "names", (spanId === undefined ? 0.4 : 0.3) * width);
    if (tab !== undefined) await page.getByRole("tab", { name: tab }).click();
    if (event !== undefined) await page.getByText(event).first().click();
    // Ripples of clicks, and panels that open.
    await page.waitForTimeout(600);
    // A third of the size of a PNG picture; Playwright's own method has no WebP.
    const devtools = await page.context().newCDPSession(page);
    const { data } = await devtools.send("Page.captureScreenshot", { format: "webp", quality: 60 });
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from(data, "base64"));
    const shown = await page.locator("[data-index]").count();
    if (height === undefined && shown !== rows) throw new Error(`The page shows ${shown} spans of ${rows}.`);
    if (errors.length > 0) throw new Error(errors.join("\n"));
    return `${statSync(path).size} bytes`;
  } finally {
    await page.close();
  }
}

/** Drags the divider beside the names, or that of the details, to another place. */
async function drag(page: Page, divider: "names" | "details", to: number): Promise<void> {
  const header = await page.getByText("Service & Operation").boundingBox();
  // In the order of the page: handles of the overview, a divider beside each name, that of the details.
  const dividers = await page.evaluate<{ x: number; y: number }[]>(
    `[...document.querySelectorAll("main div")]
       .filter((each) => getComputedStyle(each).cursor === "col-resize")
       .map((each) => each.getBoundingClientRect())`,
  );
  const from = divider === "names" ? dividers.find(({ y }) => y >= (header?.y ?? 0) - 10) : dividers.at(-1);
  if (from === undefined) throw new Error("The page has no divider.");
  await page.mouse.move(from.x, from.y + 10);
  await page.mouse.down();
  await page.mouse.move(to, from.y + 10, { steps: 5 });
  await page.mouse.up();
}
