import { stripVTControlCharacters } from "node:util";

/**
 * The width of strings in terminal columns; cuts and pads strings to a number of columns.
 *
 * A terminal places grapheme clusters, not UTF-16 units: an accent adds nothing, an emoji of seven code points takes
 * two columns, and so does a CJK character. Characters that Unicode calls ambiguous count as one, as terminals have it
 * outside of CJK locales.
 */

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// What is drawn two columns wide: emoji (by default, or through variation selector 16), and East Asian Wide and
// Fullwidth characters, by block. Halfwidth Katakana and Hangul (U+FF61 to U+FFDC) stay at one.
const wide =
  /\p{Emoji_Presentation}|\uFE0F|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE10-\uFE19\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6\u{16FE0}-\u{18D08}\u{1AFF0}-\u{1B2FB}\u{1F200}-\u{1F265}\u{20000}-\u{3FFFD}]/u;
// Marks, joiners and other format characters that stand alone are drawn in no column of their own.
const invisible = /^[\p{Mark}\p{Cf}\u{1160}-\u{11FF}]+$/u;
// Printable ASCII needs no segmenting; nearly every span name is that.
const plain = /^[\u0020-\u007E]*$/;

/** How long a string is from which escape sequences are removed at once, in UTF-16 units. */
const pieceLength = 4096;

function clusterWidth(cluster: string): 0 | 1 | 2 {
  if (invisible.test(cluster)) return 0;
  return wide.test(cluster) ? 2 : 1;
}

/**
 * A single line that is safe to print: escape sequences are removed; line breaks, other control characters and
 * bidirectional overrides, which would break a table's lines, become spaces.
 */
export function printable(value: string): string {
  return withoutEscapes(value)
    .toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]+/gu, " ");
}

// Removing them takes a time that grows with the square of the length. The rest of a sequence between two pieces is plain text.
function withoutEscapes(value: string): string {
  let plainText = "";
  for (let start = 0; start < value.length; start += pieceLength)
    plainText += stripVTControlCharacters(value.slice(start, start + pieceLength));
  return plainText;
}

/** The same of each line. */
export function printableLines(value: string): string {
  return value.split(/\r?\n/).map(printable).join("\n");
}

/** The number of columns that `value` (without escape sequences) takes. */
export function displayWidth(value: string): number {
  if (plain.test(value)) return value.length;
  let width = 0;
  for (const { segment } of segmenter.segment(value)) width += clusterWidth(segment);
  return width;
}

/** `value`, cut to at most `columns`; where something is cut off, the last column is an ellipsis. */
export function shorten(value: string, columns: number): string {
  if (displayWidth(value) <= columns) return value;
  if (columns < 1) return "";
  let kept = "";
  let width = 0;
  for (const { segment } of segmenter.segment(value)) {
    width += clusterWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** `value` with spaces after it, up to `columns`. */
export function padEnd(value: string, columns: number): string {
  return value + " ".repeat(Math.max(0, columns - displayWidth(value)));
}

/** `value` with spaces before it, up to `columns`. */
export function padStart(value: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - displayWidth(value))) + value;
}
