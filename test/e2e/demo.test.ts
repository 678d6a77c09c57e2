import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

// The demo runs as its reader runs it: a process of its own, on the built package.

interface Run {
  readonly exitCode: unknown;
  readonly seconds: number;
  readonly stdout: string;
  readonly stderr: string;
}

const main = fileURLToPath(new URL("../../examples/order-workflow/main.ts", import.meta.url));

async function runDemo(env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(OTEL_|VITEST|NODE_|NO_COLOR|FORCE_COLOR)/.test(name),
  );
  const start = performance.now();
  const child = spawn(process.execPath, [main], { env: { ...Object.fromEntries(inherited), ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [exitCode]: unknown[] = await once(child, "close");
  return { exitCode, seconds: (performance.now() - start) / 1000, stdout, stderr };
}

/** What the demo shows of an order: the line about its outcome, and the rows of its waterfall. */
interface Shown {
  readonly outcome: string;
  readonly heading: string;
  readonly rows: readonly Row[];
  readonly text: string;
}

interface Row {
  readonly failed: boolean;
  readonly depth: number;
  readonly name: string;
  readonly kind: string;
}

function shown(stdout: string, order: string): Shown {
  const text = stdout.split("\n\n").find((block) => block.startsWith(`${order} `)) ?? "";
  const [outcome = "", heading = "", , ...lines] = text.trimEnd().split("\n");
  const rows = lines.flatMap((line): Row[] => {
    const match = /^(?<status>[✓✗]) (?<branch>[│├└─ ]*)(?<name>\S+(?: \S+)*?) {2,}(?<kind>[a-z]+) {2,}/u.exec(line);
    if (match?.groups === undefined) return [];
    const { status, branch = "", name = "", kind = "" } = match.groups;
    return [{ failed: status === "✗", depth: branch.length / 3, name, kind }];
  });
  return { outcome, heading, rows, text };
}

/** The names on the way from the root to `row`. */
function ancestors(rows: readonly Row[], row: Row): string[] {
  const path: string[] = [];
  let depth = row.depth;
  for (const before of rows.slice(0, rows.indexOf(row)).toReversed()) {
    if (before.depth >= depth) continue;
    path.unshift(`${before.kind} ${before.name}`);
    depth = before.depth;
  }
  return path;
}

const orders = ["order-1001", "order-1002", "order-1003"];

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("the demo", () => {
  let run: Run;
  beforeAll(async () => {
    run = await runDemo();
  });

  it("finishes without an error, with nothing to warn about, in under 20 seconds", () => {
    expect(run).toMatchObject({ exitCode: 0, stderr: "" });
    expect(run.seconds).toBeLessThan(20);
  });

  it("shows progress while it works: steps, the retried attempt, the approval, and the failed order", () => {
    const progress = run.stdout.slice(0, run.stdout.search(/^order-1001 /m));
    for (const order of orders) expect(progress).toMatch(new RegExp(`${order} +processOrder started`));
    expect(progress).toMatch(/order-1001-payment +chargeCard failed: .*did not answer in time/);
    expect(progress).toMatch(/order-1001-payment +chargeCard done/);
    expect(progress).toMatch(/order-1002 +waits for approval\n[^]*order-1002 +was approved/);
    expect(progress).toMatch(/order-1003 +processOrder failed: .*declined/);
  });

  it("writes each progress line once, however often the orchestrations replay", () => {
    expect(run.stdout.match(/order-1001 +processOrder started/g)).toHaveLength(1);
    expect(run.stdout.match(/order-1002 +waits for approval/g)).toHaveLength(1);
  });

  it.each(orders)("S1 shows the trace of %s as one whole tree", (order) => {
    const { heading, rows, text } = shown(run.stdout, order);
    expect(heading).toMatch(/^Trace [0-9a-f]{32} · \d+ spans · /);
    expect(text).not.toMatch(/\[(orphan|duplicate|cycle|remote parent|no end)\]/);
    expect(heading).toContain(` ${rows.length} spans `);
    expect(rows.filter((row) => row.depth === 0).map((row) => row.name)).toEqual(["create_orchestration:processOrder"]);
  });

  it.each(orders)("shows the orchestration of %s as one span, and user code's spans below it once", (order) => {
    const { rows } = shown(run.stdout, order);
    const count = (name: string, kind: string): number =>
      rows.filter((row) => row.name === name && row.kind === kind).length;
    expect(count("orchestration:processOrder", "server")).toBe(1);
    expect(count("orchestration:payOrder", "client")).toBe(1);
    expect(count("orchestration:payOrder", "server")).toBe(1);
    expect(count("price order", "internal")).toBe(1);
    const reserved = rows.filter((row) => row.name === "activity:reserveItem" && row.kind === "server");
    expect(reserved.length).toBeGreaterThan(1);
    for (const row of rows.filter((each) => each.name === "db.query")) {
      expect(ancestors(rows, row).at(-1)).toMatch(/^server activity:(reserveItem|releaseItems|chargeCard)$/);
    }
  });

  it("shows the retried payment of order-1001: a failed attempt, a timer, a second attempt", () => {
    const { outcome, rows } = shown(run.stdout, "order-1001");
    expect(outcome).toContain("completed");
    const payment = rows.filter((row) => ancestors(rows, row).at(-1) === "server orchestration:payOrder");
    expect(payment.map(({ name, kind, failed }) => [name, kind, failed])).toEqual([
      ["activity:chargeCard", "client", true],
      ["orchestration:payOrder:timer", "internal", false],
      ["activity:chargeCard", "client", false],
    ]);
    expect(rows.filter((row) => row.failed && row.name.startsWith("orchestration:"))).toEqual([]);
  });

  it("shows the policy's activity of order-1002, which a durable middleware called, below its orchestration", () => {
    const { outcome, rows } = shown(run.stdout, "order-1002");
    expect(outcome).toContain("completed");
    const asked = rows.find((row) => row.name === "activity:requestApproval");
    expect(asked && ancestors(rows, asked).at(-1)).toBe("server orchestration:processOrder");
  });

  it("shows order-1003 as failed, with the reason where it comes from, and what made up for it", () => {
    const { outcome, rows, text } = shown(run.stdout, "order-1003");
    expect(outcome).toMatch(/failed: .*declined/);
    expect(text).toMatch(/✗.* activity:chargeCard +server .*\n.*↳ .*declined/);
    expect(rows.find((row) => row.name === "orchestration:processOrder")).toMatchObject({ failed: true });
    expect(rows.find((row) => row.name === "activity:releaseItems")).toMatchObject({ failed: false });
  });

  it("shows the approval that order-1002 waited for, as a span of the orchestration", () => {
    const { rows } = shown(run.stdout, "order-1002");
    const wait = rows.find((row) => row.name === "wait:approval");
    expect(wait && ancestors(rows, wait).at(-1)).toBe("server orchestration:processOrder");
  });

  it("ends with five questions, each with its answer and where to look it up", () => {
    const [, questions = ""] = run.stdout.split("What somebody on call asks");
    const blocks = questions.trim().split("\n\n").slice(0, 5);
    expect(blocks.map((block) => block.split("\n").length)).toEqual([3, 3, 3, 3, 3]);
    for (const block of blocks) expect(block).toMatch(/\n {2}in a backend: \S.*$/);
    const answers = [
      /^What waited, and for what\?\n {2}order-1002 waited \d+ ms for the event "approval"\n/,
      /^Which step is slow\?\n {2}\w+ took \d+ ms\n/,
      /^What failed, and why\?\n {2}order-1003 failed in chargeCard: The card card-0002 was declined\.\n/,
      /^How was it compensated\?\n {2}order-1003: releaseItems ran after the failure\n/,
      /^What was tried again\?\n {2}order-1001-payment: attempt 2 of chargeCard succeeded\n/,
    ];
    for (const [index, answer] of answers.entries()) expect(blocks[index]).toMatch(answer);
  });
});

describe("the demo with OTEL_EXPORTER_OTLP_ENDPOINT", () => {
  it("exports its traces there", async () => {
    const requests: { url: string | undefined; body: string }[] = [];
    const server = createServer((request, response) => {
      void collect(request).then((body) => {
        requests.push({ url: request.url, body });
        return response.writeHead(200, { "content-type": "application/json" }).end("{}");
      });
    });
    const port = await listen(server);
    const run = await runDemo({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
    await once(server.close(), "close");
    expect(run).toMatchObject({ exitCode: 0, stderr: "" });
    const traces = requests.filter(({ url }) => url === "/v1/traces").map(({ body }) => body);
    for (const name of ["orchestration:processOrder", "activity:chargeCard", "db.query", "price order"]) {
      expect(traces.some((body) => body.includes(name))).toBe(true);
    }
  });

  it("finishes with one warning for each signal and cause where nobody listens there", async () => {
    const server = createServer();
    const port = await listen(server);
    await once(server.close(), "close");
    const run = await runDemo({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
    expect(run.exitCode).toBe(0);
    expect(run.seconds).toBeLessThan(20);
    const warnings = run.stderr.trimEnd().split("\n");
    // Nobody listens; and at the end there is no time left to try again.
    const known =
      /^durable-telemetry: (?:cannot export .* to http:\/\/127\.0\.0\.1:\d+(\/v1\/\w+) \(.+\); workflows go on without it)$/;
    for (const line of warnings) expect(line).toMatch(known);
    const signals = warnings.flatMap((line) => known.exec(line)?.[1] ?? []);
    expect(new Set(signals)).toEqual(new Set(["/v1/logs", "/v1/metrics", "/v1/traces"]));
    expect(new Set(warnings).size).toBe(warnings.length);
    for (const order of orders) expect(shown(run.stdout, order).outcome).toMatch(/^order-100\d (completed|failed): ./);
  });
});

async function collect(request: IncomingMessage): Promise<string> {
  let body = "";
  request.setEncoding("latin1").on("data", (text: string) => (body += text));
  await once(request, "end");
  return body;
}
