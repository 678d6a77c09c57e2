import { setImmediate } from "node:timers/promises";
import { context, ROOT_CONTEXT, type ContextManager } from "@opentelemetry/api";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";

// What was wrong is reported once in a process, so each test has a module of its own.
const load = async (): Promise<typeof import("../../src/telemetry/active-context.ts")> => {
  vi.resetModules();
  return import("../../src/telemetry/active-context.ts");
};

function manage(manager: Partial<ContextManager>): void {
  const complete: ContextManager = {
    active: () => ROOT_CONTEXT,
    with: (_, fn, self, ...args) => fn.apply(self, args),
    bind: (_, target) => target,
    enable: () => complete,
    disable: () => complete,
    ...manager,
  };
  context.setGlobalContextManager(complete);
}
afterEach(() => context.disable());

describe("K1 a function that runs in a context", () => {
  it("K1 throws its own error, not one that the context manager makes of it", async () => {
    manage({
      with: ((_: unknown, fn: () => unknown) => {
        try {
          return fn();
        } catch {
          throw new Error("another");
        }
      }) as never,
    });
    const { runIn, takeContextFault } = await load();
    expect(() =>
      runIn(ROOT_CONTEXT, () => {
        throw new RangeError("its own");
      }),
    ).toThrow(new RangeError("its own"));
    expect(takeContextFault()).toBeUndefined();
  });

  it.each<[string, Partial<ContextManager>, string]>([
    [
      "throws",
      {
        with: () => {
          throw new Error("broken on purpose");
        },
      },
      "its with() throws",
    ],
    ["does not call it", { with: () => undefined as never }, "its with() does not call the function"],
  ])("K1 runs once though the context manager %s, which is said once", async (_, manager, fault) => {
    manage(manager);
    const { runIn, takeContextFault } = await load();
    let calls = 0;
    expect([runIn(ROOT_CONTEXT, () => (calls += 1)), runIn(ROOT_CONTEXT, () => (calls += 1))]).toEqual([1, 2]);
    expect([takeContextFault(), takeContextFault()]).toEqual([fault, undefined]);
  });

  it("K1 rejects for its caller alone, also under a context manager whose with() is async", async () => {
    manage({ with: (async (_: unknown, fn: () => unknown) => fn()) as never });
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    onTestFinished(() => void process.off("unhandledRejection", unhandled));
    const { runIn } = await load();
    await expect(
      runIn(ROOT_CONTEXT, async () => {
        throw new RangeError("its own");
      }),
    ).rejects.toThrow(new RangeError("its own"));
    expect(() =>
      runIn(ROOT_CONTEXT, () => {
        throw new RangeError("its own");
      }),
    ).toThrow(new RangeError("its own"));
    await setImmediate();
    expect(unhandled).not.toHaveBeenCalled();
  });

  it("K1 is not called again by a context manager that calls it late", async () => {
    let late: (() => unknown) | undefined;
    manage({ with: ((_: unknown, fn: () => unknown) => void (late = fn)) as never });
    const { runIn } = await load();
    let calls = 0;
    runIn(ROOT_CONTEXT, () => (calls += 1));
    expect([late?.(), calls]).toEqual([1, 1]);
  });

  it("K1 finds the root context where the active one is invalid, which is reported once", async () => {
    manage({ active: () => ({ getValue: () => undefined }) as never });
    const { activeContext, takeContextFault } = await load();
    expect([activeContext(), activeContext()]).toEqual([ROOT_CONTEXT, ROOT_CONTEXT]);
    expect([takeContextFault(), takeContextFault()]).toEqual(["its active() returns no context", undefined]);
  });
});
