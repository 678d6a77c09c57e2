/** Reads the documentation: its pages, and what the tests need of their Markdown. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at the end. */
export const root: URL = new URL("../../", import.meta.url);

/** A page of the documentation. */
export interface Page {
  /** Its path in the repository, such as `docs/tracing.md`. */
  readonly path: string;
  readonly text: string;
}

/** A page by its path in the repository. */
export function page(path: string): Page {
  return { path, text: readFileSync(new URL(path, root), "utf8") };
}

/** All pages: the README, the changelog, and what is in `docs/`. */
export function pages(): readonly Page[] {
  const docs = readdirSync(fileURLToPath(new URL("docs/", root))).filter((name) => name.endsWith(".md"));
  return [page("README.md"), page("CHANGELOG.md"), ...docs.toSorted().map((name) => page(`docs/${name}`))];
}

/** A page's text without comments and code, for what is looked up in prose. */
export function prose({ text }: Page): string {
  return text.replaceAll(/<!--.*?-->/gs, "").replaceAll(/^```.*?^```$/gms, "");
}

/** A fenced block of code that is TypeScript or JavaScript: all of it is visible, and a user can copy it into a file. */
export interface Snippet {
  /** The path of its page. */
  readonly path: string;
  /** The line of its fence, from 1. */
  readonly line: number;
  readonly language: "ts" | "js";
  /** The word after the language, which the check of the snippet has too. */
  readonly name: string;
  /** The words after the name: `bad` shows what not to do. */
  readonly flags: readonly string[];
  readonly code: string;
}

const fence = /^```(?<language>ts|js)\b(?<words>[^\n]*)\n(?<code>.*?)^```$/gms;

/** The snippets of a page, in order. */
export function snippets({ path, text }: Page): readonly Snippet[] {
  return [...text.matchAll(fence)].map(({ index, groups = {} }): Snippet => {
    const [name = "", ...flags] = (groups["words"] ?? "").trim().split(/\s+/);
    return {
      path,
      line: text.slice(0, index).split("\n").length,
      language: groups["language"] === "js" ? "js" : "ts",
      name,
      flags,
      code: groups["code"] ?? "",
    };
  });
}

/** The languages of a page's fenced blocks, of whatever kind. */
export function fenceLanguages({ text }: Page): readonly string[] {
  return [...text.matchAll(/^```([^\n]*)\n.*?^```$/gms)].map(([, words = ""]) => words.split(" ", 1)[0] ?? "");
}

/** The rows of the table right below the comment `<!-- marker -->`, without its head; backticks are taken off. */
export function tableBelow(marker: string, { path, text }: Page): readonly (readonly string[])[] {
  const comment = `<!-- ${marker} -->\n`;
  const at = text.indexOf(comment);
  if (at === -1) throw new Error(`${path} has no comment "${comment.trim()}".`);
  const lines = text.slice(at + comment.length).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(2, end).map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchors(subject: Page): ReadonlySet<string> {
  const headings = prose(subject).matchAll(/^#+ (.+)$/gm);
  return new Set(
    [...headings].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** The targets of a page's links. */
export function links(subject: Page): readonly string[] {
  return [...prose(subject).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}
