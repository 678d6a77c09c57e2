import {
  Tokenizer,
  TokenizerError,
  TokenParser,
  TokenParserError,
  TokenType,
  type ParsedElementInfo,
  type ParsedTokenInfo,
} from "@streamparser/json";
import { FieldError } from "./fields.ts";
import { Positions, type Position } from "./positions.ts";

/** What a file is not: JSON, or a known format. */
export class InputError extends Error {
  readonly position: Position;

  constructor(message: string, position: Position) {
    super(message);
    this.position = position;
  }
}

/** A value of a document, when its end was read. */
export interface Found {
  readonly value: unknown;
  /** The keys and indexes that lead to it, from the top of the document. */
  readonly path: readonly (string | number)[];
  /** The object or array with the key `path[index]`; values that were handed out are no longer in it. */
  readonly owner: (index: number) => object;
}

/** What reads JSON documents piece by piece. */
export interface JsonConsumer {
  /** A value at one of the selected paths is complete. */
  onValue(found: Found): void;
  /** A key of a document's outermost object. */
  onKey(key: string): void;
  /** A document is complete. */
  onDocument(isObject: boolean): void;
}

/**
 * Parses one or more JSON documents, with or without white space between them, as they are read. At no time is more in
 * memory than the value of one of the selected paths, however long a document is.
 */
export class JsonStream {
  readonly #positions = new Positions();
  readonly #tokenizer = new ExactTokenizer({ separator: "" });
  readonly #consumer: JsonConsumer;
  #depth = 0;
  #isObject = false;
  #lastString = "";
  /** Where the token is that was read last. */
  #offset = 0;

  /** @param paths such as `$.data.*.spans.*`. */
  constructor(paths: readonly string[], consumer: JsonConsumer) {
    this.#consumer = consumer;
    const parser = new TokenParser({ paths: [...paths], keepStack: false, separator: "" });
    // Without these two, errors would be reported twice.
    parser.onError = (error) => {
      throw error;
    };
    parser.onValue = (info) => consumer.onValue(foundOf(info));
    this.#tokenizer.onToken = (token) => {
      this.#offset = token.offset;
      parser.write(token);
      this.#follow(token);
    };
  }

  /** @throws {InputError} at what is no JSON, with its position. */
  write(bytes: Uint8Array): void {
    this.#positions.add(bytes);
    this.#run(() => this.#tokenizer.write(bytes));
  }

  /** @throws {InputError} if the last document is incomplete. */
  end(): void {
    if (this.#depth > 0) throw new InputError("ends in the middle of a JSON document", this.#positions.end);
    try {
      this.#tokenizer.end();
    } catch {
      throw new InputError("ends in the middle of a JSON document", this.#positions.end);
    }
  }

  /** Where the value ends that was read last. */
  get position(): Position {
    return this.#positions.at(this.#offset);
  }

  #run(parse: () => void): void {
    try {
      parse();
    } catch (error) {
      if (error instanceof FieldError) throw new InputError(error.message, this.position);
      if (isEncodingError(error)) throw new InputError("has a string behind this that is not UTF-8", this.position);
      if (!(error instanceof TokenizerError || error instanceof TokenParserError)) throw error;
      const { message } = error;
      // The tokenizer's errors have the byte in their message; the parser's are about the last token.
      const [, unexpected, byte] = /^Unexpected "(.*)" at .*\(absolute position "(\d+)"\)/s.exec(message) ?? [];
      if (unexpected !== undefined)
        throw new InputError(`is not JSON: unexpected ${JSON.stringify(unexpected)}`, this.#positions.at(Number(byte)));
      throw new InputError(`is not JSON: ${message.replace(/ in state .*/s, "")}`, this.position);
    }
  }

  /** Keeps the depth, and reports the keys at the top and the end of a document. */
  #follow({ token, value }: ParsedTokenInfo): void {
    switch (token) {
      case TokenType.STRING:
        if (this.#depth === 1) this.#lastString = String(value);
        break;
      case TokenType.COLON:
        if (this.#depth === 1) this.#consumer.onKey(this.#lastString);
        return;
      case TokenType.LEFT_BRACE:
      case TokenType.LEFT_BRACKET:
        if (this.#depth === 0) this.#isObject = token === TokenType.LEFT_BRACE;
        this.#depth += 1;
        return;
      case TokenType.RIGHT_BRACE:
      case TokenType.RIGHT_BRACKET:
        this.#depth -= 1;
        if (this.#depth === 0) this.#consumer.onDocument(this.#isObject);
        return;
      case TokenType.COMMA:
        return;
      default:
        break;
    }
    // A string, a number, or another value that is a whole document.
    if (this.#depth === 0) this.#consumer.onDocument(false);
  }
}

/** Of a `TextDecoder`, which the tokenizer lets pass. */
function isEncodingError(error: unknown): boolean {
  return error instanceof TypeError && Reflect.get(error, "code") === "ERR_ENCODING_INVALID_ENCODED_DATA";
}

/** Keeps integers that a JavaScript number can't hold, as strings. */
class ExactTokenizer extends Tokenizer {
  protected override parseNumber(digits: string): number {
    const value = Number(digits);
    const isExact = Number.isSafeInteger(value) || !/^-?\d+$/.test(digits);
    // Whoever reads an integer of OTLP accepts both: its JSON has 64-bit integers as strings or as numbers.
    return isExact ? value : (digits as unknown as number);
  }
}

function foundOf({ value, key, stack, parent }: ParsedElementInfo): Found {
  // The first entry is what is outside of the document, and has no key.
  const keys = stack.slice(1).map((entry) => entry.key);
  const owners = stack.slice(1).map((entry) => entry.value);
  return {
    value,
    path: [...keys, key].map((each) => each ?? ""),
    owner: (index) => (index === keys.length ? parent : owners[index]) as object,
  };
}
