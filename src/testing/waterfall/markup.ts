import { printable } from "./display-width.ts";

/**
 * A string as the content of an element or of a quoted attribute, in HTML and in XML. Control characters and
 * bidirectional overrides become spaces: XML forbids the first, and the second could make a name look like another.
 */
export function escapeMarkup(value: string): string {
  return printable(value)
    .replace(/[\uFFFE\uFFFF]/g, "\uFFFD")
    .replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
