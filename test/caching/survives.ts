import { monitorEventLoopDelay } from "node:perf_hooks";
import { expect } from "vitest";
import { cachedWorker } from "./calls.ts";
import type { StoreServer } from "./servers.ts";

/**
 * Load on a store that is killed and comes back: each result is right, no call takes longer than the timeout allows, and
 * there are hits again.
 */
export async function survives(server: StoreServer, options: Parameters<typeof cachedWorker>[0]): Promise<void> {
  const timeout = 500;
  const worker = cachedWorker({ timeout, ...options }, (input) => ({ doubled: Number(input) * 2 }));
  let slowest = 0;
  const delays = monitorEventLoopDelay();
  delays.enable();
  const outcomes = new Set<unknown>();
  const load = async (): Promise<void> => {
    const batch = Array.from({ length: 20 }, async (_, input) => {
      const start = performance.now();
      const called = await worker.call(input);
      slowest = Math.max(slowest, performance.now() - start);
      expect(called).toMatchObject({ json: JSON.stringify({ doubled: input * 2 }), failure: undefined });
      outcomes.add(called.outcome);
    });
    await Promise.all(batch);
    // Let the connections process their events.
    await new Promise(setImmediate);
  };
  const until = async (outcome: string): Promise<void> => {
    outcomes.clear();
    while (!outcomes.has(outcome)) await load();
  };
  await until("hit");
  const killed = server.kill();
  await until("error");
  await killed;
  for (let round = 0; round < 50; round += 1) await load();
  await server.start();
  await until("hit");
  delays.disable();
  // One operation that hangs, and as much again for the work; less what the machine, which others use too, was late by.
  expect(slowest - (3 * delays.max) / 1e6).toBeLessThan(2 * timeout);
}
