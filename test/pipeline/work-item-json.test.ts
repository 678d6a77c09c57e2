import type { OrchestrationContext } from "@microsoft/durabletask-js";
import { expect, it } from "vitest";
import type { MiddlewareObject, WorkItem } from "../../src/index.ts";
import { customOnly } from "../custom-only.ts";
import { resultOf, startHub, type Steps } from "../harness.ts";

function json(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    return String(error).split("\n")[0] ?? "";
  }
}

it("W1 F3 a work item in JSON is who it is, as a context is: it can be logged, and shows no payload and nothing of the engine", async () => {
  const hub = await startHub();
  const seen: [string, string][] = [];
  const who = ({ name, instanceId, executionId, version }: WorkItem): string =>
    json({ name, instanceId, executionId, version });
  const watching: MiddlewareObject = {
    name: "watching",
    workItem: (item) => ({ onResponse: () => void seen.push([json(item), who(item)]) }),
  };
  await hub.worker({ ...customOnly, use: [watching] }, (worker) => {
    worker.addNamedOrchestrator("main", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("step", "secret");
    });
    worker.addNamedActivity("step", () => 1);
  });
  expect(resultOf(await hub.run("main", "secret"))).toBe(1);
  expect(seen.map(([item]) => item)).toEqual(seen.map(([, expected]) => expected));
  expect(seen).toHaveLength(3);
});
