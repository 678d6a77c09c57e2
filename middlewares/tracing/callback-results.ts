/**
 * Whether what a callback returned, which must be a value, is a promise or another thenable. Its rejection is handled
 * then: an unhandled one would end the process.
 */
export function isLate(result: object): boolean {
  if (typeof (result as { readonly then?: unknown }).then !== "function") return false;
  void Promise.resolve(result).catch(() => undefined);
  return true;
}
