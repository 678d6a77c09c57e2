import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import type { CacheStore } from "durable-telemetry";
import { createClient } from "redis";

const program = "redis-server";

/** A Redis to use, and how to close it. */
export interface Redis {
  readonly url: string;
  stop(): Promise<void>;
}

/** The Redis at `REDIS_URL`, or one of our own for as long as the example runs. */
export async function startRedis(): Promise<Redis> {
  const url = process.env["REDIS_URL"];
  if (url) return { url, stop: async () => undefined };
  const port = await freePort();
  const server = spawn(program, ["--port", String(port), "--bind", "127.0.0.1", "--save", ""], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(server, "exit");
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", () =>
    reject(
      new Error(
        "redis-server is not in PATH: install it (Debian and Ubuntu: apt-get install redis-server), or set REDIS_URL.",
      ),
    ),
  );
  server.once("exit", () => reject(new Error("redis-server ended at its start.")));
  createInterface({ input: server.stdout }).on("line", (line) => {
    if (line.includes("Ready to accept connections")) resolve();
  });
  await ready;
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      server.kill();
      await ended;
    },
  };
}

/** A store for the activity cache, over a client of its own. */
export async function connectStore(
  url: string,
): Promise<{ readonly store: CacheStore; readonly close: () => Promise<void> }> {
  // Without the connection commands fail at once, rather than wait for it and be late.
  const client = createClient({ url, disableOfflineQueue: true });
  client.on("error", (error: Error) => console.error(`Redis: ${error.message}`));
  await client.connect();
  const unlock = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
  const store: CacheStore = {
    get: (key) => client.get(key),
    set: (key, value, ttlMs) => client.set(key, value, { PX: ttlMs }),
    delete: (key) => client.del(key),
    setIfAbsent: async (key, value, ttlMs) => (await client.set(key, value, { PX: ttlMs, NX: true })) === "OK",
    deleteIfEqual: (key, value) => client.eval(unlock, { keys: [key], arguments: [value] }),
  };
  return { store, close: () => client.close() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  await once(server.close(), "close");
  if (typeof address !== "object" || address === null) throw new Error("There is no free port.");
  return address.port;
}
