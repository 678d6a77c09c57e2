import type { Isolation } from "./isolate.ts";

/**
 * What is recorded of a custom status: `true` records one that is a string, `false` nothing; a function gets the status and
 * returns what to record, or `undefined`. It is called in each replay, and must not be `async`.
 */
export type CustomStatusOption = boolean | ((status: unknown) => string | undefined);

/** What to record of the custom status `json`. */
export function statusToRecord(
  json: string | undefined,
  option: CustomStatusOption | undefined,
  isolated: Isolation,
): string | undefined {
  if (json === undefined || option === undefined || option === false) return undefined;
  const status: unknown = isolated.run("a custom status can't be read", () => JSON.parse(json) as unknown);
  const recorded: unknown =
    option === true ? status : isolated.call("the customStatus function failed", () => option(status));
  return typeof recorded === "string" ? recorded : undefined;
}
