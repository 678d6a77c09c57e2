import { describe, expect, it } from "vitest";
import { displayWidth, padEnd, padStart, printable, shorten } from "../../src/testing/waterfall/display-width.ts";

describe("displayWidth", () => {
  it.each([
    ["", 0],
    ["activity:charge", 15],
    ["└─ ━╸✓✗…·", 9],
    ["é", 1],
    ["e\u0301", 1],
    ["注文を処理", 10],
    ["한국어", 6],
    ["\u1112\u1161\u11AB", 2],
    ["ＡＢ", 4],
    ["ｱｲ", 2],
    ["📦", 2],
    ["❤\uFE0F", 2],
    ["👩‍👩‍👧‍👦", 2],
    ["👍🏽", 2],
    ["🇩🇪", 2],
    ["1\uFE0F\u20E3", 2],
    ["\u200B", 0],
    ["𠮷", 2],
  ])("%j takes %i columns", (text, columns) => {
    expect(displayWidth(text)).toBe(columns);
  });
});

describe("shorten", () => {
  it("leaves a string that fits unchanged", () => {
    expect(shorten("注文", 4)).toBe("注文");
  });

  it("ends a cut string with an ellipsis in its last column", () => {
    expect(shorten("activity:charge", 9)).toBe("activity…");
  });

  it("never cuts a wide character or an emoji sequence in half", () => {
    expect(shorten("注文を処理", 6)).toBe("注文…");
    expect(shorten("a👩‍👩‍👧‍👦b", 3)).toBe("a…");
  });

  it("has nothing to show in no column", () => {
    expect(shorten("activity", 0)).toBe("");
  });
});

describe("padEnd and padStart", () => {
  it("fill up to a number of columns, not of UTF-16 units", () => {
    expect(padEnd("注文", 6)).toBe("注文  ");
    expect(padStart("📦", 4)).toBe("  📦");
  });
});

describe("printable", () => {
  it("takes out escape sequences, and makes line breaks, control characters and bidirectional overrides spaces", () => {
    expect(printable("\u001B[31mred\u001B[39m\r\nnext\u0000\u202Eend")).toBe("red next end");
  });

  it("takes no time that grows with the square of the length: a megabyte of sequences without an end is done in this test's time", () => {
    const open = "\u001B]8;;x";
    const text = printable(open.repeat(2 ** 20 / open.length));
    expect(text).not.toContain("\u001B");
    expect(printable("a".repeat(5000) + "👩".repeat(5000))).toBe("a".repeat(5000) + "👩".repeat(5000));
  });

  it("replaces lone surrogates", () => {
    expect(printable("a\uD83D")).toBe("a\uFFFD");
  });
});
