/** A place in a file. */
export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 0, of the whole file. */
  readonly byte: number;
}

const newline = 10;

/** Knows the line of each byte of the last two chunks of a file. Older chunks are forgotten. */
export class Positions {
  #previous: Chunk | undefined;
  #current: Chunk = { from: 0, line: 1, bytes: new Uint8Array() };

  /** Takes the next chunk. */
  add(bytes: Uint8Array): void {
    const { from, bytes: before } = this.#current;
    const line = this.#current.line + lineBreaks(before, before.length);
    this.#previous = this.#current;
    this.#current = { from: from + before.length, line, bytes };
  }

  /** @param byte is in one of the last two chunks; what is before them counts as their start. */
  at(byte: number): Position {
    const chunk = this.#previous !== undefined && byte < this.#current.from ? this.#previous : this.#current;
    const within = Math.max(0, byte - chunk.from);
    return { byte: chunk.from + within, line: chunk.line + lineBreaks(chunk.bytes, within) };
  }

  /** The end of what was added. */
  get end(): Position {
    return this.at(this.#current.from + this.#current.bytes.length);
  }
}

interface Chunk {
  readonly from: number;
  /** The line of its first byte. */
  readonly line: number;
  readonly bytes: Uint8Array;
}

function lineBreaks(bytes: Uint8Array, before: number): number {
  let count = 0;
  for (let at = bytes.indexOf(newline); at !== -1 && at < before; at = bytes.indexOf(newline, at + 1)) count += 1;
  return count;
}
