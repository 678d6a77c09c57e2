import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { page } from "../docs/markdown.ts";
import { startHub, type Hub } from "../harness.ts";
import { cachedWorker, name } from "./calls.ts";
import { connect, redisStore, type Client } from "./redis-store.ts";
import { skipRedis, startRedis, type StoreServer } from "./servers.ts";
import { survives } from "./survives.ts";

const program = fileURLToPath(new URL("fixtures/locking-worker.ts", import.meta.url));

/** What the processes publish, and a way to wait for it. */
class Events {
  readonly #events: { readonly what: string; readonly pid: number }[] = [];
  #changed: () => void = () => undefined;

  push(message: string): void {
    const [what = "", pid = ""] = message.split(" ");
    this.#events.push({ what, pid: Number(pid) });
    this.#changed();
  }

  of(what: string): readonly number[] {
    return this.#events.flatMap((event) => (event.what === what ? [event.pid] : []));
  }

  /** The processes that said `what`, when `enough` of them did. */
  async until(what: string, enough: (pids: readonly number[]) => boolean): Promise<readonly number[]> {
    while (!enough(this.of(what))) await new Promise<void>((resolve) => (this.#changed = resolve));
    return this.of(what);
  }
}

interface Fleet {
  readonly hub: Hub;
  readonly client: Client;
  readonly events: Events;
  readonly processes: readonly ChildProcess[];
}

/** Four worker processes, a hub and a Redis. */
async function startFleet(lockFor: string): Promise<Fleet> {
  const redis = await startRedis();
  const hub = await startHub();
  const [client, subscriber] = [await connect(redis.url), await connect(redis.url)];
  const events = new Events();
  await subscriber.subscribe("events", (message: string) => events.push(message));
  const processes = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [program, hub.sidecar.address, redis.url, lockFor], {
      stdio: ["ignore", "inherit", "inherit"],
    }),
  );
  onTestFinished(async () => {
    const gone = processes
      .filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
      .map((child) => once(child, "exit"));
    for (const child of processes) child.kill("SIGKILL");
    await Promise.all(gone);
    client.destroy();
    subscriber.destroy();
    await redis[Symbol.asyncDispose]();
  });
  await events.until("ready", (pids) => pids.length === 4);
  return { hub, client, events, processes };
}

const calls = 1000;

describe.skipIf(skipRedis)("Four worker processes with one Redis", () => {
  it("C5 1,000 concurrent identical calls run the activity once in all", { timeout: 90_000 }, async () => {
    const { hub, client, events } = await startFleet("60s");
    const done = fanOut(hub);
    const called = await events.until("called", (pids) => pids.length === calls);
    // Each process has its part of them, and they are all under way.
    expect(new Set(called).size).toBe(4);
    await client.lPush("go", "1");
    expect(await done).toEqual({ results: ['{"input":{"symbol":"ACME"},"price":42}'], count: calls });
    expect(events.of("runs")).toHaveLength(1);
  });

  it(
    "C5 once more when the process that holds the lock is killed, and no more than that",
    { timeout: 90_000 },
    async () => {
      const { hub, client, events, processes } = await startFleet("5s");
      const done = fanOut(hub);
      await events.until("called", (pids) => pids.length === calls);
      const [holder] = await events.until("runs", (pids) => pids.length === 1);
      const victim = processes.find(({ pid }) => pid === holder);
      victim?.kill("SIGKILL");
      const runs = await events.until("runs", (pids) => pids.length === 2);
      expect(runs[1]).not.toBe(holder);
      await client.lPush("go", "1");
      expect(await done).toEqual({ results: ['{"input":{"symbol":"ACME"},"price":42}'], count: calls });
      // The one that died with its process, and the one that all got their result from.
      expect(events.of("runs")).toHaveLength(2);
    },
  );
});

/** Calls the activity 1,000 times at once; the results that there are, and how many. */
async function fanOut(hub: Hub): Promise<{ results: readonly string[]; count: number }> {
  const state = await hub.run("fan out", calls);
  return JSON.parse(state.serializedOutput ?? "null");
}

it("C4 the store over Redis in the documentation and in the example is the one that is tested here", () => {
  const ours = readFileSync(new URL("redis-store.ts", import.meta.url), "utf8");
  const lines = ours
    .split("\n")
    .filter((line) => /redis\.call|^ +(get|set|delete|setIfAbsent|deleteIfEqual):/.test(line))
    .map((line) => line.trim());
  expect(lines).toHaveLength(6);
  for (const path of ["docs/caching.md", "examples/cached-quotes/redis.ts"]) {
    for (const line of lines) expect(page(path).text).toContain(line);
  }
});

describe.skipIf(skipRedis)("A real Redis", () => {
  async function redis(): Promise<StoreServer & { readonly url: string }> {
    const server = await startRedis();
    onTestFinished(() => server[Symbol.asyncDispose]());
    return server;
  }
  async function connected(url: string, options: object = {}): Promise<Client> {
    const client = await connect(url, options);
    onTestFinished(() => client.destroy());
    return client;
  }

  it("C4 has the hits of a worker that was there before a restart", async () => {
    const { url } = await redis();
    const before = await connected(url);
    const result = { price: 1.5, text: "\ud800 é \u0000", void: null };
    const first = await cachedWorker({ store: redisStore(before), timeout: "20s" }, () => result).call({ b: 1, a: 2 });
    before.destroy();
    const restarted = cachedWorker({ store: redisStore(await connected(url)), timeout: "20s" }, () => "ran");
    expect(await restarted.call({ a: 2, b: 1 })).toEqual({ ...first, outcome: "hit" });
    await restarted.cache.delete(name, { a: 2, b: 1 });
    expect(await restarted.call({ a: 2, b: 1 })).toMatchObject({ json: '"ran"', outcome: "miss" });
  });

  it("C4 forgets entries when their time is up, and stale ones later", async () => {
    const { url } = await redis();
    const client = await connected(url);
    const worker = cachedWorker({
      store: redisStore(client),
      timeout: "20s",
      activity: { ttl: "1h", staleFor: "1h", lockFor: "1m", namespace: "prices" },
    });
    await worker.call(1);
    const keys = await client.keys("*");
    const times = await Promise.all(
      keys.map(async (key) => [key.split(":")[1], Math.round((await client.pTTL(key)) / 3_600_000)] as const),
    );
    expect(Object.fromEntries(times)).toMatchObject({ entry: 2, generation: 168 });
    expect((await worker.call(1)).outcome).toBe("hit");
    await worker.cache.deleteNamespace("prices");
    expect((await worker.call(1)).outcome).toBe("miss");
  });

  it.each<[what: string, options: object]>([
    ["with commands that wait for the connection", {}],
    ["with commands that fail without it", { disableOfflineQueue: true }],
  ])("C6 may be killed and come back under load: %s", { timeout: 90_000 }, async (_, options) => {
    const server = await redis();
    const client = await connected(server.url, options);
    await survives(server, { store: redisStore(client) });
  });
});
