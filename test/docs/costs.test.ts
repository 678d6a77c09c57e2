import { expect, it } from "vitest";
import { page, tableBelow } from "./markdown.ts";

it("The README's costs are the medians of docs/performance.md", () => {
  const figures = tableBelow("figures", page("docs/performance.md"));
  const median = (row: string): string => {
    const figure = figures.find(([name]) => name === row)?.[2];
    return `x${Number(/^x(\S+)/.exec(figure ?? "")?.[1]).toFixed(2)}`;
  };
  const costs = tableBelow("costs", page("README.md")).map(([, ...cells]) => cells);
  expect(costs).toEqual(
    ["four no-op middlewares", "default pipeline"].map((variant) =>
      [10, 200].map((steps) => median(`${variant}, request path, ${steps} steps`)),
    ),
  );
});
