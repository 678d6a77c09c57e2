import { InMemoryOrchestrationBackend } from "@microsoft/durabletask-js";
import { describe, expect, it } from "vitest";
import type { Acknowledgement, MiddlewareObject } from "../../src/pipeline/index.ts";
import { inMemoryHub } from "../registration/in-memory.ts";

describe("The in-memory worker", () => {
  it.each<[string, number, Acknowledgement]>([
    ["takes", 100, "accepted"],
    ["refuses, as the history is too long", 1, "rejected"],
  ])(
    "W3 W4 tells hooks once what the response is, and what became of a response that the backend %s",
    async (_, size, delivery) => {
      const received: string[] = [];
      const observer: MiddlewareObject = {
        name: "observer",
        workItem: () => ({
          onResponse: () => void received.push("responded"),
          onAcknowledged: (acknowledgement) => void received.push(acknowledgement),
        }),
      };
      const { backend, client, worker } = inMemoryHub({ use: [observer] }, new InMemoryOrchestrationBackend(size));
      worker.addNamedOrchestrator("plain", () => 1);
      const id = await client.scheduleNewOrchestration("plain");
      const processed: unknown = Reflect.apply(Reflect.get(worker, "processOrchestration"), worker, [
        backend.getInstance(id),
      ]);
      if (delivery === "accepted") await processed;
      else await expect(processed).rejects.toThrow("would exceed maximum history size");
      expect(received).toEqual(["responded", delivery]);
    },
  );
});
