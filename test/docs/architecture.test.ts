import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { page, root } from "./markdown.ts";

const { text } = page("docs/architecture.md");
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");
const isPath = (word: string): boolean => /^(?:src|middlewares|test|docs|bench|examples)\//.test(word);
const codeIn = (part: string): readonly string[] => [...part.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
/** Paths in prose, in tables and in the picture. */
const paths = text.match(/\b(?:src|middlewares|test|docs|bench|examples)\/(?:[\w.-]+\/)*[\w.-]*[\w/]/g) ?? [];
const sources = ["src/", "middlewares/"].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => `${folder}${file}`),
);

describe("The page on the architecture", () => {
  it("names only files and folders that exist", () => {
    expect(paths.length).toBeGreaterThan(40);
    expect(paths.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
  });

  it("names a file of each folder of the sources", () => {
    const folders = ["src/", "middlewares/"].flatMap((parent) =>
      readdirSync(new URL(parent, root), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${parent}${name}/`),
    );
    expect(folders.length).toBeGreaterThan(10);
    expect(folders.filter((folder) => !paths.some((path) => path.startsWith(folder) && path.endsWith(".ts")))).toEqual(
      [],
    );
  });

  it("answers each question with names that stand in the file beside them", () => {
    const [, table = ""] = text.split(/^\| question \| names \| file \| see also \|\n/m);
    const rows = table
      .split("\n")
      .filter((line) => line.startsWith("| "))
      .map((line) => line.split("|").map((cell) => cell.trim()));
    expect(rows.length).toBeGreaterThan(20);
    const wrong = rows.flatMap(([, question = "", names = "", file = ""]) => {
      const [path = ""] = codeIn(file);
      expect(codeIn(names), question).not.toEqual([]);
      return codeIn(names)
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(read(path)))
        .map((name) => `${question} ${name} is not in ${path}`);
    });
    expect(wrong).toEqual([]);
  });

  it("uses the names of the code: each identifier stands in the sources", () => {
    const code = sources.map(read).join("\n");
    const identifiers = codeIn(text.replaceAll(/^```.*?^```$/gms, "")).filter(
      (word) => !isPath(word) && /^[A-Za-z]\w+(?:\.\w+)*$/.test(word) && !/\.(?:ts|js)$/.test(word),
    );
    expect(identifiers.length).toBeGreaterThan(40);
    const names = new Set(identifiers.flatMap((word) => word.split(".")));
    expect([...names].filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });

  it("uses them in its picture too", () => {
    const [, picture = ""] = /^```text\n(.*?)^```$/ms.exec(text) ?? [];
    const code = sources.map(read).join("\n");
    const names = picture.match(/\b(?:[A-Z][a-z]+){2,}\b|\bon[A-Z]\w+|\b[a-z]+[A-Z]\w+/g) ?? [];
    expect(names.length).toBeGreaterThan(10);
    expect([...new Set(names)].filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });
});
