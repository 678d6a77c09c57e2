/** Reads the members of a span in JSON, which may have anything in them. */
import { latestSecond } from "../../testing/waterfall/span-tree.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** What is wrong with a member, without its position. */
export class FieldError extends Error {}

export function objectOf(value: unknown): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

export function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/**
 * An ID of hex digits, in lower case.
 *
 * @param digits how many an ID has.
 * @returns `undefined` if there is none: it is missing, empty or all zero.
 * @throws {FieldError} if it is anything else.
 */
export function hexId(value: unknown, name: string, digits: number): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string" || !/^[0-9a-f]+$/i.test(value) || value.length > digits)
    throw new FieldError(`${name} must have ${digits} hex digits, not ${shown(value)}`);
  return /^0+$/.test(value) ? undefined : value.toLowerCase().padStart(digits, "0");
}

/** The same, where an ID must be. */
export function requiredHexId(value: unknown, name: string, digits: number): string {
  const id = hexId(value, name, digits);
  if (id === undefined) throw new FieldError(`${name} is missing`);
  return id;
}

/**
 * A time in nanoseconds or microseconds since the epoch, a number or a string of digits, as seconds and nanoseconds.
 *
 * @param digits how many of them are a second's fraction: 9 or 6.
 * @returns `undefined` if it is missing or 0.
 * @throws {FieldError} if it is anything else, or too late to be in this unit: the waterfall would leave the span out.
 */
export function timeOf(value: unknown, name: string, digits: 6 | 9): [number, number] | undefined {
  if (value === undefined || value === null || value === 0 || value === "0" || value === "") return undefined;
  const text = typeof value === "number" && Number.isInteger(value) ? BigInt(value).toString() : value;
  if (typeof text !== "string" || !/^\d{1,20}$/.test(text))
    throw new FieldError(`${name} must be a whole number, not ${shown(value)}`);
  const fraction = text.slice(-digits).padStart(digits, "0").padEnd(9, "0");
  const seconds = Number(text.slice(0, -digits));
  if (seconds > latestSecond)
    throw new FieldError(`${name} must be in ${digits === 9 ? "nanoseconds" : "microseconds"}, not ${shown(value)}`);
  return [seconds, Number(fraction)];
}

/** A value in a message, cut where it is long. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
