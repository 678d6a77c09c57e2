import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { canonical } from "./canonical.ts";

// Sorting the members is most of the work, and the same inputs come again, with their members in the same order: so
// what an input's plain JSON came to is remembered. It halves what a hit costs.
const known = new LRUCache<string, string>({ maxSize: 2 ** 22, sizeCalculation: (_, text) => text.length });
const longest = 2 ** 16;

/** A short text that stands for another: its SHA-256. */
export function digest(text: string): string {
  return hash("sha256", text, "base64url");
}

/**
 * The digest of the canonical JSON of `value`.
 *
 * @throws NoCanonicalForm, see {@link canonical}.
 */
export function canonicalDigest(value: unknown): string {
  const text = plainJson(value);
  const remembered = text === undefined ? undefined : known.get(text);
  if (remembered !== undefined) return remembered;
  const own = digest(canonical(value));
  // A getter may have said two things; then neither is remembered.
  if (text !== undefined && text.length <= longest && plainJson(value) === text) known.set(text, own);
  return own;
}

function plainJson(value: unknown): string | undefined {
  try {
    return isPlainJson(value, 0) ? JSON.stringify(value) : undefined;
  } catch {
    // A getter threw.
    return undefined;
  }
}

/** Whether `JSON.stringify` writes all that there is of `value`, and nothing else. What it is not sure of, is not. */
function isPlainJson(value: unknown, depth: number): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object") return typeof value === "string" || typeof value === "boolean";
  if (value === null) return true;
  if (depth > 100 || ("toJSON" in value && typeof value.toJSON === "function")) return false;
  if (Array.isArray(value)) {
    for (const each of value as readonly unknown[]) if (!isPlainJson(each, depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const key in value) if (!isPlainJson((value as Readonly<Record<string, unknown>>)[key], depth + 1)) return false;
  return true;
}
