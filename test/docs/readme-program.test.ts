import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { page, root, snippets } from "./markdown.ts";
import { Workspace, type Ended } from "./workspace.ts";

// As a user does it: an empty directory, the package as it would be published, and what `npm install` would bring.

const readme = page("README.md");
const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as LockedPackage & {
  readonly engines: { readonly node: string };
};
const [program, ...more] = snippets(readme).filter(({ language }) => language === "js");

interface LockedPackage {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean } | undefined>>;
}
const lock = JSON.parse(readFileSync(new URL("package-lock.json", root), "utf8")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};

/** The names of the packages that an installation of this one has at its top level: what it needs, and what that needs. */
function installed(): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (path: string): void => {
    const { dependencies = {}, peerDependencies = {} } = lock.packages[path] ?? {};
    for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
      const nested = `${path}/node_modules/${name}`;
      if (nested in lock.packages) visit(nested);
      else if (!names.has(name) && `node_modules/${name}` in lock.packages) {
        names.add(name);
        visit(`node_modules/${name}`);
      }
    }
  };
  visit("");
  return names;
}

describe("The README's program, pasted into an empty directory with the packed package", () => {
  const workspace = new Workspace();
  afterAll(() => workspace[Symbol.dispose]());
  let ended: Ended;
  beforeAll(async () => {
    // Without the scripts: `dist` is built already, and other tests may be reading it.
    const flags = ["--ignore-scripts", "--offline", "--silent", "--pack-destination", workspace.path];
    const packed = await workspace.run("npm", ["pack", fileURLToPath(root), ...flags]);
    expect(packed).toMatchObject({ code: 0 });
    const own = join(workspace.path, "node_modules", "durable-telemetry");
    workspace.link(installed());
    mkdirSync(own);
    const unpacked = await workspace.run("tar", ["-xzf", packed.stdout.trim(), "--strip-components=1", "-C", own]);
    expect(unpacked).toMatchObject({ code: 0, stderr: "" });
    workspace.write("hello.mjs", program?.code ?? "");
    ended = await workspace.run(process.execPath, ["hello.mjs"], { NO_COLOR: "1" });
  });

  it("is the only program to paste", () => {
    expect(more).toEqual([]);
    expect(readme.text).toContain("Save it as `hello.mjs`, run `node hello.mjs`");
  });

  it("ends by itself, and has nothing to complain about", () => {
    expect(ended).toMatchObject({ code: 0, stderr: "" });
  });

  it("prints the result and one whole trace", () => {
    const [result, heading, , ...rows] = ended.stdout.trimEnd().split("\n");
    expect(result).toBe('["Hello, Ada!","Hello, Grace!"]');
    expect(heading).toMatch(/^Trace [0-9a-f]{32} · 6 spans · [^·]*$/);
    const names = rows.map((row) => /^✓ ([ │├└─]*)([\w:]+)/.exec(row)?.slice(1));
    expect(names).toEqual([
      ["", "create_orchestration:greetings"],
      ["└─ ", "orchestration:greetings"],
      ["   ├─ ", "activity:greet"],
      ["   │  └─ ", "activity:greet"],
      ["   └─ ", "activity:greet"],
      ["      └─ ", "activity:greet"],
    ]);
  });

  it("needs what the README says to install: its peers but the API, which npm installs, and for its own set-up the optional ones", () => {
    const { peerDependencies = {}, peerDependenciesMeta = {} } = manifest;
    const peers = Object.keys(peerDependencies).filter((name) => name !== "@opentelemetry/api");
    const required = ["npm install durable-telemetry", ...peers].join(" ");
    // The SDK is optional for who has Dapr's. The others are not among the peers for npm, which reckons with the peers of those that nobody installs.
    const withSetup = [required, ...Object.keys(peerDependenciesMeta).filter((name) => !peers.includes(name))].join(
      " ",
    );
    expect(readme.text).toContain(`\n${required}\n`);
    expect(readme.text).toContain(`\n${withSetup}\n`);
  });
});

describe("The README's versions", () => {
  /** `>=1.2.0 <2` as the README says it. */
  const inWords = (range: string): string =>
    range.replace(
      /^>=([\d.]+?)(?:\.0)?(?: <(\d+))?$/,
      (_, from: string, below?: string) => `${from} or later${below === undefined ? "" : `, below ${below}`}`,
    );

  it("are those of the manifest", () => {
    expect(readme.text).toContain(`- Node.js ${inWords(manifest.engines.node)}.`);
    for (const [name, range] of Object.entries(manifest.peerDependencies ?? {}))
      expect(readme.text).toContain(`\`${name}\` ${inWords(range)}`);
  });
});
