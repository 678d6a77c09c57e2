import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

/** Colours a string, or leaves it as it is. */
export type Paint = (format: Format, text: string) => string;

/** Whether what goes to standard output has colours: NO_COLOR, FORCE_COLOR and the terminal decide. */
export function hasColor(): boolean {
  return styleText("bold", ".", { stream: process.stdout }) !== ".";
}

export function painter(color: boolean): Paint {
  return color ? (format, text) => styleText(format, text, { validateStream: false }) : (_format, text) => text;
}
