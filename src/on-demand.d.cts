import type { format as formatMessage } from "node:util" with { "resolution-mode": "import" };
import type { LRUCache } from "lru-cache" with { "resolution-mode": "import" };
import type { StringValue } from "ms" with { "resolution-mode": "import" };
export function lruCache(): typeof LRUCache;
export function parseDuration(duration: StringValue): number | undefined;
export const format: typeof formatMessage;
