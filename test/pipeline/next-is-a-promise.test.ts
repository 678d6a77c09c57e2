import { expect, it } from "vitest";
import { NextPromise } from "../../src/pipeline/next-promise.ts";

const settled = (): NextPromise<number> => {
  const next = new NextPromise<number>();
  next.settle({ ok: true, value: 1 });
  return next;
};

it("O11 what next returns is a promise for code that asks, as its type says", () => {
  expect(settled()).toBeInstanceOf(Promise);
});

it("O11 what is chained to next and resolves with itself rejects, as of any promise, and does not wait for ever", async () => {
  const chained: Promise<unknown> = settled().then(() => chained);
  let end: unknown = "none";
  chained.then(
    () => (end = "fulfilled"),
    (error: unknown) => (end = error),
  );
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  expect(end).toBeInstanceOf(TypeError);
});
