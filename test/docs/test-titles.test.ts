import { describe, expect, it } from "vitest";
import { rulesOf, testTitles } from "./test-titles.ts";

const titles = (source: string): readonly string[] => testTitles(source).map(({ title }) => title);

describe("testTitles", () => {
  it.each<[source: string, title: string]>([
    ['it("one", () => {})', "one"],
    ["test('one', fn)", "one"],
    ["describe(`one`, fn)", "one"],
    ["it(`one ${two}`, fn)", "one "],
    ['it.concurrent("one", fn)', "one"],
    ['it("a \\"quoted\\" one", fn)', 'a "quoted" one'],
    ['it(\n  // why\n  "one",\n  fn)', "one"],
    ['describe.concurrent.each(cases)("one %s", fn)', "one %s"],
    ['it.each([["a)", /[)"]/], [`${b(")")}`, 4 / 2]])("one", fn)', "one"],
    ['it.each<[name: string, fn: () => void]>([["x", () => {}]])("one", fn)', "one"],
    ['it.skipIf(process.env["CI"] === undefined)("one", fn)', "one"],
    ["it.each`\n a | b\n ${1} | ${2}\n`('one', fn)", "one"],
    ['it.for([1, 2])(\n  "one", fn)', "one"],
  ])("finds the title in %s", (source, title) => {
    expect(titles(source)).toEqual([title]);
  });

  it.each([
    'it.skip("one", fn)',
    'it.todo("one")',
    'describe.skip("one", fn)',
    '// it("one", fn)',
    '/* it("one", fn) */',
    "const text = 'it(\"one\")';",
    'emit("one")',
    'regexp.test("one")',
    "it(title, fn)",
  ])("finds no title in %s", (source) => {
    expect(titles(source)).toEqual([]);
  });

  it("finds nested ones, with their lines", () => {
    const source =
      'describe("outer", () => {\n  const ratio = a / b;\n  it("inner", () => expect(/"/.test(x)).toBe(1));\n});\nit("last", fn);';
    expect(testTitles(source)).toEqual([
      { title: "outer", line: 1 },
      { title: "inner", line: 3 },
      { title: "last", line: 5 },
    ]);
  });
});

describe("rulesOf", () => {
  it.each<[title: string, rules: string[]]>([
    ["O1 a second call fails", ["O1"]],
    ["O11 next rejects", ["O11"]],
    ["O4, A5 what it throws", ["O4", "A5"]],
    ["X1 X2 what it has", ["X1", "X2"]],
    ["O4 and A5 what it throws", ["O4", "A5"]],
    ["I1", ["I1"]],
    ["W3C propagation is installed", []],
    ["the rule O1", []],
    ["HTTP/2 works", []],
  ])("reads the rules of “%s”", (title, rules) => {
    expect(rulesOf(title)).toEqual(rules);
  });
});
