import { TaskHubRefusal } from "./errors.ts";

const DEFAULT_PAGE_SIZE = 100;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Asks for the page after this one; absent on the last page. */
  readonly continuationToken: string | undefined;
}

export interface PageRequest<Item> {
  readonly matches: (item: Item) => boolean;
  /** Most items on the page; zero and less stand for 100. */
  readonly size: number;
  /** Of the page before; absent for the first one. */
  readonly token: string | undefined;
}

/**
 * A page of the items that match, in the order of their creation. Items that come and go between two pages neither
 * repeat nor hide others.
 *
 * @param items - In that order too.
 */
export function pageOf<Item extends { readonly sequence: number }>(
  items: Iterable<Item>,
  { matches, size, token = "" }: PageRequest<Item>,
): Page<Item> {
  const after = token === "" ? 0 : sequenceOf(token);
  const limit = size > 0 ? size : DEFAULT_PAGE_SIZE;
  const found: Item[] = [];
  for (const item of items) {
    if (item.sequence <= after || !matches(item)) continue;
    if (found.length === limit) return { items: found, continuationToken: tokenOf(found.at(-1)) };
    found.push(item);
  }
  return { items: found, continuationToken: undefined };
}

// Opaque, so that nobody counts on what it is.
function tokenOf(last: { readonly sequence: number } | undefined): string {
  return Buffer.from(`after:${last?.sequence ?? 0}`).toString("base64url");
}

function sequenceOf(token: string): number {
  const sequence = /^after:(\d+)$/.exec(Buffer.from(token, "base64url").toString())?.[1];
  if (sequence === undefined) {
    throw new TaskHubRefusal("INVALID_ARGUMENT", `'${token}' is not a continuation token of this task hub.`);
  }
  return Number(sequence);
}
