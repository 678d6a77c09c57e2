/** Finds the titles of tests in source text: of `it`, `test` and `describe`, with their modifiers and tables. */
export interface TestTitle {
  /** The title as it is written; in a template, up to its first `${`. */
  readonly title: string;
  /** The line of the call, from 1. */
  readonly line: number;
}

const call = /(?<![\w$.])(?:it|test|describe|suite)((?:\s*\.\s*\w+)*)(?:<|\s*\(|\s*`)/g;
/** A test that is marked so proves nothing. */
const idle = /\.\s*(?:skip|todo)\b/;
/** These take arguments of their own before the call with the title. */
const takesArguments = /\.\s*(?:each|for|skipIf|runIf|extend)\s*$/;

/** The titles in `source`, in order. Tests that are skipped or still to be written are left out. */
export function testTitles(source: string): readonly TestTitle[] {
  const inert = inertRanges(source);
  const titles: TestTitle[] = [];
  for (const match of source.matchAll(call)) {
    const [text, modifiers = ""] = match;
    if (inert.some(([from, to]) => from <= match.index && match.index < to) || idle.test(modifiers)) continue;
    let at = match.index + text.length - 1;
    if (source[at] === "<") at = skip(source, at);
    if (takesArguments.test(modifiers)) at = skipSpace(source, skip(source, at));
    if (source[at] !== "(") continue;
    const title = literalAt(source, skipSpace(source, at + 1));
    if (title !== undefined) titles.push({ title, line: source.slice(0, match.index).split("\n").length });
  }
  return titles;
}

/** The rules that a title begins with: `O1 …`, or several, as in `O1, A1 …`. */
export function rulesOf(title: string): readonly string[] {
  const [head = ""] = /^(?:[A-Z]\d+(?:, | and |\/| )?)+(?=\s|$|:|(?<=\s))/.exec(title) ?? [];
  return head.match(/[A-Z]\d+/g) ?? [];
}

const closing: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}", "<": ">" };

/** The position after the bracketed or quoted text that begins at `at`. */
function skip(source: string, at: number): number {
  const first = source[at] ?? "";
  if (first === '"' || first === "'" || first === "`") return endOfString(source, at);
  const close = closing[first];
  if (close === undefined) return at + 1;
  let position = at + 1;
  while (position < source.length && source[position] !== close) {
    const inert = inertAt(source, position);
    if (inert !== undefined) position = inert;
    // An arrow's `>` closes nothing, and `<` is a bracket among types only.
    else if (first === "<" && source.startsWith("=>", position)) position += 2;
    else if (/[([{]/.test(source[position] ?? "") || (first === "<" && source[position] === "<"))
      position = skip(source, position);
    else position += 1;
  }
  return position + 1;
}

function skipSpace(source: string, at: number): number {
  let position = at;
  while (/\s/.test(source[position] ?? "")) position += 1;
  const afterComment =
    source.startsWith("//", position) || source.startsWith("/*", position) ? inertAt(source, position) : undefined;
  return afterComment === undefined ? position : skipSpace(source, afterComment);
}

function literalAt(source: string, at: number): string | undefined {
  const quote = source[at];
  if (quote !== '"' && quote !== "'" && quote !== "`") return undefined;
  const text = source.slice(at + 1, endOfString(source, at) - 1);
  return quote === "`" ? text.split("${", 1)[0] : text.replaceAll(/\\(.)/g, "$1");
}

function endOfString(source: string, at: number): number {
  const quote = source[at];
  let position = at + 1;
  while (position < source.length && source[position] !== quote) {
    if (source[position] === "\\") position += 2;
    else if (quote === "`" && source.startsWith("${", position)) position = skip(source, position + 1);
    else position += 1;
  }
  return position + 1;
}

/** The position after the comment, string or regular expression that begins at `at`, if one does. */
function inertAt(source: string, at: number): number | undefined {
  const char = source[at];
  if (char === '"' || char === "'" || char === "`") return endOfString(source, at);
  if (char !== "/") return undefined;
  if (source.startsWith("//", at)) return after(source, "\n", at);
  if (source.startsWith("/*", at)) return after(source, "*/", at + 2);
  // A slash after a value divides.
  if (/[\w$)\]]\s*$/.test(source.slice(Math.max(0, at - 20), at)) && !/\breturn\s*$/.test(source.slice(0, at)))
    return undefined;
  return endOfRegExp(source, at);
}

function endOfRegExp(source: string, at: number): number {
  let inClass = false;
  for (let position = at + 1; position < source.length; position += 1) {
    const char = source[position];
    if (char === "\\") position += 1;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) return position + 1;
    else if (char === "\n") break;
  }
  return at + 1;
}

function after(source: string, text: string, from: number): number {
  const found = source.indexOf(text, from);
  return found === -1 ? source.length : found + text.length;
}

/** The comments and strings of `source`, in which a call is none. */
function inertRanges(source: string): readonly (readonly [from: number, to: number])[] {
  const ranges: [number, number][] = [];
  for (let position = 0; position < source.length;) {
    const end = inertAt(source, position);
    if (end === undefined) position += 1;
    else {
      ranges.push([position, end]);
      position = end;
    }
  }
  return ranges;
}
