import { crypto } from "../../src/on-demand.ts";

/** The SHA-256 of a string, in base64url. */
export function digest(value: string): string {
  return crypto.hash("sha256", value, "base64url");
}
