import { createClient } from "redis";
import type { CacheStore } from "../../middlewares/index.ts";

/** The client of the package `redis`, with its types as they are inferred. */
export type Client = ReturnType<typeof createClient>;

/** The store over Redis, as docs/caching.md has it. */
export function redisStore(client: Client): Required<CacheStore> {
  const unlock = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";
  return {
    get: (key) => client.get(key),
    set: (key, value, ttlMs) => client.set(key, value, { PX: ttlMs }),
    delete: (key) => client.del(key),
    setIfAbsent: async (key, value, ttlMs) => (await client.set(key, value, { PX: ttlMs, NX: true })) === "OK",
    deleteIfEqual: (key, value) => client.eval(unlock, { keys: [key], arguments: [value] }),
  };
}

/** A connected client; what it says of its connection is nobody's business here. */
export async function connect(url: string, options: object = {}): Promise<Client> {
  const client = createClient({ url, ...options });
  client.on("error", () => undefined);
  await client.connect();
  return client as unknown as Client;
}
