import { hash } from "node:crypto";
import { canonical } from "./canonical.ts";

/** A short text that stands for another: its SHA-256. */
export function digest(text: string): string {
  return hash("sha256", text, "base64url");
}

/**
 * The digest of the canonical form of `value`.
 *
 * @throws NoCanonicalForm, see {@link canonical}.
 */
export function canonicalDigest(value: unknown): string {
  return digest(canonical(value));
}
