import { ATTR_ERROR_TYPE, ATTR_TAG_PREFIX, ATTR_TASK_NAME, ATTR_TASK_VERSION } from "../../src/telemetry/semconv.ts";

/** Stands for all values of an attribute that came after the limit. */
const OTHER = "_other";
/** The same for `error.type`, as the semantic conventions of OpenTelemetry have it. */
const OTHER_ERROR_TYPE = "_OTHER";

/** The longest value that reaches a metric, in bytes of UTF-8. */
const longest = 256;

// The attributes whose values come from outside, in unlimited number.
const open: ReadonlySet<string> = new Set([ATTR_TASK_NAME, ATTR_TASK_VERSION, ATTR_ERROR_TYPE]);

/** The attributes of a measurement; `undefined` for one that it does not have. */
export type Labels = Readonly<Record<string, string | undefined>>;

/**
 * The values that one instrument has seen: at most `limit` for each attribute, and none that is longer than 256 bytes
 * (telemetry.md K4). A meter provider keeps each combination of them for ever, and exports it again and again.
 */
export class BoundedValues {
  /** Copies, by their values: what comes in may be a slice that keeps a long string alive. */
  readonly #seen = new Map<string, Map<string, string>>();

  /** `labels` without `undefined`, and with one value in place of those that are too long or come after the first `limit`. */
  fold(labels: Labels, limit: number): Record<string, string> {
    const folded: Record<string, string> = {};
    for (const key in labels) {
      const value = labels[key];
      if (value === undefined) continue;
      folded[key] = this.#kept(key, value, limit) ?? (key === ATTR_ERROR_TYPE ? OTHER_ERROR_TYPE : OTHER);
    }
    return folded;
  }

  #kept(key: string, value: string, limit: number): string | undefined {
    if (!isShort(value)) return undefined;
    if (!open.has(key) && !key.startsWith(ATTR_TAG_PREFIX)) return value;
    let seen = this.#seen.get(key);
    if (seen === undefined) this.#seen.set(key, (seen = new Map()));
    const known = seen.get(value);
    if (known !== undefined || seen.size >= limit) return known;
    const copy = Buffer.from(value).toString();
    seen.set(copy, copy);
    return copy;
  }
}

// For most names the length of the string decides.
function isShort(value: string): boolean {
  return value.length <= longest / 3 || (value.length <= longest && Buffer.byteLength(value) <= longest);
}
