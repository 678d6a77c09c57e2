import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser } from "playwright-core";
import { renderTraceSvg } from "../../src/testing/index.ts";
import { dark, light } from "../../src/testing/waterfall/colors.ts";
import { contrast, isInstalled, launch } from "./chromium.ts";
import { finishedSpan, type SpanShape } from "./finished-spans.ts";

const render = (shapes: readonly SpanShape[], options?: Parameters<typeof renderTraceSvg>[1]): string =>
  renderTraceSvg(shapes.map(finishedSpan), options);

const order: readonly SpanShape[] = [
  { id: 1, name: "create_orchestration:order", kind: 3, end: 2 },
  { id: 2, parent: 1, name: "orchestration:order", kind: 1, start: 4, end: 1004 },
  { id: 3, parent: 2, name: "activity:charge", kind: 2, start: 304, end: 404, error: "card declined" },
  { id: 4, parent: 0xabc, name: "lost", start: 950 },
];

describe("renderTraceSvg", () => {
  it("draws a row for each span, with its name, kind, duration, and a bar on the time scale", () => {
    const svg = render(order);
    expect(svg.match(/<g class="row"/g)).toHaveLength(4);
    expect(svg).toContain(`<g class="row" data-depth="2">`);
    expect(svg).toContain("<title>activity:charge · client · +304 ms · 100 ms · failed</title>");
    expect(svg).toContain(`<tspan class="failed">✗ activity:charge</tspan>`);
    expect(svg).toMatch(/↳ card declined</);
    expect(svg).toMatch(/>lost<\/tspan><tspan class="warning"> \[orphan\]</);
    const [, x = "", width = ""] = /<rect class="failed" x="([\d.]+)" [^>]*?width="([\d.]+)"/.exec(svg) ?? [];
    expect((Number(x) - 424) / 516).toBeCloseTo(304 / 1004, 2);
    expect(Number(width) / 516).toBeCloseTo(100 / 1004, 2);
  });

  it("says which attempt a span is, where there is room", () => {
    const attempt = (name: string): string =>
      renderTraceSvg([{ ...finishedSpan({ name, kind: 2 }), attributes: { "durabletask.task.attempt": 2 } }]);
    expect(attempt("charge")).toContain(
      `>charge</tspan><tspan class="warning"></tspan><tspan class="quiet"> client attempt 2<`,
    );
    expect(attempt("x".repeat(34))).toContain(`<tspan class="quiet"> attempt 2<`);
    expect(attempt("x".repeat(50))).toContain(`<tspan class="quiet"></tspan>`);
  });

  it("has a title and a description for screen readers", () => {
    const svg = render(order, { title: "An order" });
    expect(svg).toMatch(/^<svg [^>]*role="img" aria-labelledby="title desc">\n<title id="title">An order<\/title>/);
    expect(svg).toContain(
      `<desc id="desc">A waterfall of 4 spans over 1.00 s: create_orchestration:order. 1 failed: activity:charge. 1 marked as orphan.</desc>`,
    );
  });

  it("escapes strings of spans wherever they stand", () => {
    const name = `</text><script>alert(1)</script>"'&\u0000\uFFFF\uD800 ]]>`;
    const svg = render([{ name, error: name, trace: name }], { title: name });
    expect(svg).not.toContain("<script");
    for (const forbidden of ["\u0000", "\uFFFF", "\uD800"]) expect(svg).not.toContain(forbidden);
    expect(svg).toContain("&lt;/text&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;");
  });

  it("draws as many spans as it may, and says how many are left out", () => {
    const many = Array.from({ length: 30 }, (_, index) => ({ id: index + 1, trace: String(index % 3), start: index }));
    const svg = render(many, { maximumSpans: 12 });
    expect(svg.match(/<g class="row"/g)).toHaveLength(12);
    expect(svg).toContain("18 more spans are not shown.");
    // Two traces are drawn, and described for those who don't see them.
    expect(svg.match(/A waterfall of /g)).toHaveLength(2);
    expect(render(many)).not.toContain("not shown");
  });

  it("says so where there is no span, and counts what could not be read", () => {
    expect(render([])).toContain("No spans to show.");
    expect(renderTraceSvg([...order.map(finishedSpan), {} as never])).toContain("1 entry could not be read as a span.");
  });

  it.each([0, 1.5, 10_001, Number.NaN, "9"])("refuses %s as maximumSpans, and names the range", (maximumSpans) => {
    expect(() => render(order, { maximumSpans: maximumSpans as number })).toThrow(
      new RangeError(`maximumSpans must be a whole number from 1 to 10000, not ${String(maximumSpans)}.`),
    );
  });

  it("draws a chain of thousands of spans, of no length at all", () => {
    const deep = Array.from({ length: 5_000 }, (_, index) => ({
      id: index + 1,
      parent: index,
      name: `level ${index}`,
    }));
    expect(render(deep, { maximumSpans: 5_000 }).match(/<g class="row"/g)).toHaveLength(5_000);
  });

  it.each([
    ["light", light],
    ["dark", dark],
  ])("has colours with the contrast of WCAG 2.2 AA in the %s theme", (_theme, palette) => {
    for (const color of [palette.text, palette.quiet, palette.failed, palette.warning])
      for (const behind of [palette.background, palette.raised])
        expect(contrast(color, behind), `${color} on ${behind}`).toBeGreaterThanOrEqual(4.5);
    for (const [category, color] of Object.entries(palette.bars))
      expect(contrast(color, palette.background), category).toBeGreaterThanOrEqual(3);
  });
});

describe.skipIf(!isInstalled && !process.env["CI"])("The picture of renderTraceSvg in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  const fixture = [
    ...order,
    { id: 5, parent: 3, name: `<b>"'&]]> ${"a long name ".repeat(30)}`, kind: 1, start: 310, end: 311 },
    { id: 6, parent: 5, name: "注文を処理する".repeat(9), kind: 1, start: 1000, end: 1004 },
  ];

  it("is well-formed, in the reader's theme, and no text leaves the picture or covers the bars", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await browser.newPage({ colorScheme, viewport: { width: 1000, height: 700 } });
      const faults: string[] = [];
      page.on("console", (message) => faults.push(message.text()));
      await page.goto(`data:image/svg+xml;base64,${Buffer.from(render(fixture)).toString("base64")}`);
      expect(await page.locator("parsererror").count()).toBe(0);
      expect(await page.locator("g.row").count()).toBe(6);
      const fill = await page.evaluate("getComputedStyle(document.querySelector('.page')).fill");
      expect(contrast(String(fill), colorScheme === "dark" ? dark.background : light.background)).toBeCloseTo(1);
      // The boxes of texts that are in a row's first line, in units of the picture.
      const boxes = await page.evaluate<[string, number, number][]>(
        `[...document.querySelectorAll("g.row > text:not(.failed):not(.warning)")].map((text) => {
          const box = text.getBBox();
          return [text.textContent, box.x, box.x + box.width];
        })`,
      );
      expect(boxes).toHaveLength(12);
      for (const [text, from, to] of boxes) expect(from >= 20 && to <= 424, `${text}: ${from} to ${to}`).toBe(true);
      expect(faults).toEqual([]);
      await page.close();
    }
  });
});
