import { ATTR_TAG_PREFIX } from "./semconv.ts";

/** The attributes for the allow-listed tags of a task; `undefined` if it has none of them. */
export function attributesOfTags(
  tags: Readonly<Record<string, string>>,
  allowed: readonly string[],
): Record<string, string> | undefined {
  let attributes: Record<string, string> | undefined;
  for (const name of allowed) {
    const value = Object.hasOwn(tags, name) ? tags[name] : undefined;
    if (value !== undefined) (attributes ??= {})[`${ATTR_TAG_PREFIX}${name}`] = value;
  }
  return attributes;
}
