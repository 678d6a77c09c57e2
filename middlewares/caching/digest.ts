import crypto from "node:crypto";

/** A short text that stands for another: its SHA-256. */
export function digest(text: string): string {
  return crypto.hash("sha256", text, "base64url");
}
