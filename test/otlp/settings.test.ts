import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { metrics, trace } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { type OtlpOptions, setupOtlp } from "durable-telemetry/otlp";
import { afterEach, describe, expect, it, vi } from "vitest";
import { page } from "../docs/markdown.ts";
import { readSettings } from "../../src/otlp/settings.ts";
import { runProgram } from "./program.ts";
import { startReceiver } from "./receiver.ts";

interface Sample {
  /** What the variable has. */
  readonly text: string;
  /** What the option has. */
  readonly value: unknown;
  /** What diagnostics show of it. */
  readonly shown: string;
  /** A string that is not valid; without one every string is. */
  readonly wrong?: string;
}

const same = (value: string | number | boolean, wrong?: string): Sample => ({
  text: String(value),
  value,
  shown: String(value),
  ...(wrong === undefined ? {} : { wrong }),
});
const time = same(1234, "soon");
const count = same(123, "1.5");
const file = same(fileURLToPath(import.meta.url), "/no/such/file");

/** A value of each option, of those for all signals and those for one. */
const samples: Readonly<Record<string, Sample>> = {
  disabled: same(true, "1"),
  serviceName: same("shop"),
  resourceAttributes: {
    text: "team=a,zone=b%2Cc",
    value: { team: "a", zone: "b,c" },
    shown: "team, zone",
    wrong: "team",
  },
  resourceDetectors: { text: "host, os", value: ["host", "os"], shown: "host, os", wrong: "weather" },
  sampler: same("always_off", "sometimes"),
  samplerArg: same(0.25, "2"),
  propagators: { text: "b3,baggage", value: ["b3", "baggage"], shown: "b3, baggage", wrong: "smoke" },
  logLevel: same("error", "loud"),
  shutdownTimeout: time,
  handleSigterm: same(true, "yes"),
  handleSigint: same(true, "yes"),
  exporter: { text: "console,otlp", value: ["console", "otlp"], shown: "console, otlp", wrong: "zipkin" },
  protocol: same("http/protobuf", "http"),
  compression: same("gzip", "zstd"),
  timeout: time,
  exportTimeout: time,
  certificate: file,
  clientCertificate: file,
  clientKey: file,
  insecure: same(true, "1"),
  scheduleDelay: time,
  exportInterval: time,
  maxQueueSize: count,
  maxExportBatchSize: count,
  temporality: same("lowmemory", "often"),
  histogramAggregation: same("base2_exponential_bucket_histogram", "none"),
};

const signals = ["traces", "metrics", "logs"];
const { places } = readSettings({});

/** Option, variable, sample, and the line that diagnostics print of it without who gave it. */
const cases = places.flatMap(({ option, variable }) => {
  const name = option.split(".").at(-1) ?? "";
  // Those have tests of their own below.
  if (variable === undefined || name === "endpoint" || name === "headers" || name === "diagnostics") return [];
  return [{ option, variable, name, sample: samples[name] }];
});

function optionsOf(option: string, value: unknown): Record<string, unknown> {
  const [first = "", second] = option.split(".");
  return { [first]: second === undefined ? value : { [second]: value } };
}

let warnings: string[] = [];

/** What diagnostics say, section by section, line by line. */
async function diagnose(options: Record<string, unknown> = {}): Promise<Map<string, readonly string[]>> {
  const error = vi.spyOn(console, "error").mockReturnValue(undefined);
  const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
  await setupOtlp({ diagnostics: true, ...options }).shutdown();
  const [text = "", ...more] = error.mock.calls.flat();
  expect(more).toEqual([]);
  warnings = warn.mock.calls.flat().map(String);
  vi.restoreAllMocks();
  const sections = String(text)
    .split(/^ {2}(?=\w)/m)
    .slice(1);
  return new Map(
    sections.map((section) => {
      const [title = "", ...lines] = section.trimEnd().split("\n");
      return [title, lines.map((line) => line.trim())];
    }),
  );
}

/** The sections that an option is shown in. */
const sectionsOf = (option: string, name: string): readonly string[] => {
  if (option.includes(".")) return [option.slice(0, option.indexOf("."))];
  return places.some((place) => place.option === `traces.${name}`) ? signals : ["general"];
};

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe.each(cases)("$option and $variable", ({ option, variable, name, sample }) => {
  if (sample === undefined) throw new Error(`The test has no sample of ${name}`);
  const expectLine = (report: Map<string, readonly string[]>, shown: string, source: string): void => {
    for (const section of sectionsOf(option, name))
      expect(report.get(section)).toContain(`${name}: ${shown} (${source})`);
  };

  it("the variable sets it", async () => {
    vi.stubEnv(variable, ` ${sample.text} `);
    expectLine(await diagnose(), sample.shown, `env: ${variable}`);
    expect(warnings.filter((line) => line.includes(`${variable}=`))).toEqual([]);
  });

  it("the option sets it, and wins", async () => {
    vi.stubEnv(variable, option === "resourceAttributes" ? "other=1" : sample.text);
    expectLine(await diagnose(optionsOf(option, sample.value)), sample.shown, `code: ${option}`);
  });

  it.each(["", " "])('"%s" in the variable is unset', async (empty) => {
    const usual = await diagnose();
    vi.stubEnv(variable, empty);
    expect(await diagnose()).toEqual(usual);
    expect(warnings).toEqual([]);
  });

  if (sample.wrong === undefined) return;

  it("a wrong value of the variable is reported once and ignored", async () => {
    const usual = await diagnose();
    vi.stubEnv(variable, sample.wrong);
    expect(await diagnose()).toEqual(usual);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`durable-telemetry: ${variable}="`);
    expect(warnings[0]).toContain("is ignored: it must be ");
  });

  it("a wrong option throws a TypeError that names it", () => {
    const [signal] = option.split(".");
    // No option takes a symbol, in whatever type it is.
    expect(() => setupOtlp(optionsOf(option, Symbol.iterator) as OtlpOptions)).toThrow(
      expect.objectContaining({
        name: "TypeError",
        message: expect.stringContaining(
          `setupOtlp: ${signal === option ? "" : `${signal}: `}option "${name}" must be `,
        ),
      }),
    );
  });
});

describe("Limits", () => {
  const variables = [...page("docs/otlp.md").text.matchAll(/^\| `(OTEL_\w+_LIMIT)`/gm)].map(([, name = ""]) => name);

  it("are on the page", () => {
    expect(variables).toHaveLength(10);
  });

  it.each(variables)("an invalid %s is reported, with what is allowed", async (variable) => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    vi.stubEnv(variable, "many");
    await setupOtlp().shutdown();
    const is = variable.endsWith("VALUE_LENGTH_LIMIT") ? "a number of characters of at least 1" : "a whole number";
    expect(warn.mock.calls).toEqual([[`durable-telemetry: ${variable}="many" is ignored: it must be ${is}`]]);
  });
});

describe("endpoint", () => {
  it.each(signals)("of %s: the option, that of all, the variable, that of all, in this order", async (signal) => {
    const variable = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
    const line = async (options: Record<string, unknown>): Promise<string | undefined> =>
      (await diagnose(options)).get(signal)?.find((each) => each.startsWith("endpoint"));
    expect(await line({})).toBe(`endpoint: http://localhost:4318/v1/${signal} (default)`);
    expect(await line({ [signal]: { protocol: "grpc" } })).toBe("endpoint: http://localhost:4317/ (default)");
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a/base");
    expect(await line({})).toBe(`endpoint: http://a/base/v1/${signal} (env: OTEL_EXPORTER_OTLP_ENDPOINT)`);
    vi.stubEnv(variable, "http://b/own");
    expect(await line({})).toBe(`endpoint: http://b/own (env: ${variable})`);
    expect(await line({ endpoint: "http://c" })).toBe(`endpoint: http://c/v1/${signal} (code: endpoint)`);
    expect(await line({ endpoint: "http://c", [signal]: { endpoint: "http://d/own" } })).toBe(
      `endpoint: http://d/own (code: ${signal}.endpoint)`,
    );
  });

  it.each([
    ["http/json", "http:collector:4318", "an http or https URL"],
    ["http/json", "http:/collector:4318", "an http or https URL"],
    ["grpc", "http:collector:4317", "an address such as"],
    ["grpc", "unix:///tmp/collector.sock", "an address such as"],
    ["grpc", "dns:///collector:4317", "an address such as"],
  ])("K1 for %s, %s in a variable is ignored, and a line says so", async (protocol, address, is) => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    vi.stubEnv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", address);
    await setupOtlp({ metrics: false, logs: false }).shutdown();
    vi.stubEnv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address);
    await setupOtlp({ metrics: false, logs: false }).shutdown();
    const ignored = (variable: string): string =>
      expect.stringContaining(`${variable}="[redacted]" is ignored: it must be ${is}`);
    const [ofAll, ofTraces] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].map(ignored);
    expect(warn.mock.calls.flat()).toEqual([ofAll, ofTraces, ofAll]);
  });
});

describe("Diagnostics", () => {
  it("are printed once, on the standard error, and tell what was set up where", async () => {
    await using receiver = await startReceiver();
    const run = (variable: string): ReturnType<typeof runProgram> =>
      runProgram("emit-signals", {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, DURABLE_TELEMETRY_DIAGNOSTICS: variable },
      });
    const { stdout, stderr } = await run("TRUE");
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /^durable-telemetry: diagnostics \(durable-telemetry \S+, Node\.js v\S+, \w+ \w+\)\n {2}general\n/,
    );
    expect(stderr.match(/diagnostics \(/g)).toHaveLength(1);
    expect(stderr).toContain(`endpoint: ${receiver.url}/v1/logs (env: OTEL_EXPORTER_OTLP_ENDPOINT)`);
    expect((await run("false")).stderr).toBe("");
    expect((await run("")).stderr).toBe("");
    expect((await run("1")).stderr).toBe(
      'durable-telemetry: DURABLE_TELEMETRY_DIAGNOSTICS="1" is ignored: it must be true or false\n',
    );
  });

  it("tell of a signal that is left out", async () => {
    expect((await diagnose({ metrics: false })).get("metrics")).toEqual(["exporter: none (code: metrics)"]);
    metrics.setGlobalMeterProvider(new MeterProvider());
    expect((await diagnose()).get("metrics")).toEqual(["exporter: none (the MeterProvider of the program)"]);
    metrics.disable();
  });

  it("tell of the size of a batch as it is: no more than the queue holds", async () => {
    vi.stubEnv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999");
    expect((await diagnose()).get("traces")).toContain(
      "maxExportBatchSize: 32768, no more than the queue holds (env: OTEL_BSP_MAX_EXPORT_BATCH_SIZE)",
    );
  });

  it("tell of nothing that is not asked for", async () => {
    const error = vi.spyOn(console, "error").mockReturnValue(undefined);
    await setupOtlp().shutdown();
    expect(error).not.toHaveBeenCalled();
    expect(trace.getTracer("test").startSpan("late").isRecording()).toBe(false);
  });
});

describe("The example of diagnostics in docs/otlp.md", () => {
  it("prints what the page says", async () => {
    const { text } = page("docs/otlp.md");
    const [, output = ""] = /<!-- diagnostics output -->\n```text\n(.*?)```/s.exec(text) ?? [];
    const [code = ""] = /(?<=<!-- diagnostics example -->\n```ts diagnostics\n)(?:.*?)(?=```)/s.exec(text) ?? [];
    const [, options = ""] = /setupOtlp\((\{.*\})\)/s.exec(code) ?? [];
    // The example has plain data only.
    const given: unknown = runInNewContext(`(${options})`);
    const { stderr } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_TRACES_EXPORTER: "" },
      input: { options: { ...(given as OtlpOptions), shutdownTimeout: 50 } },
    });
    const withoutPlatform = (printed: string): string => printed.replace(/\(durable-telemetry .*\)/, "");
    const printed = withoutPlatform(stderr)
      .split("\n")
      .filter((line) => /^(durable-telemetry: diagnostics| )/.test(line));
    const shown = withoutPlatform(output)
      .trimEnd()
      .replace("shutdownTimeout: 5000 (default)", "shutdownTimeout: 50 (code: shutdownTimeout)");
    expect(printed.join("\n")).toBe(shown);
    expect(shown).not.toContain("secret");
  });
});

describe("Secrets", () => {
  const secret = "hunter2";
  const dead = "127.0.0.1:1";

  it.each<[what: string, env: Record<string, string>, options: Record<string, unknown>, shown: readonly string[]]>([
    [
      "headers in the environment",
      {
        OTEL_EXPORTER_OTLP_HEADERS: `api-key=${secret}`,
        OTEL_EXPORTER_OTLP_LOGS_HEADERS: `authorization=Bearer%20${secret}`,
      },
      {},
      [
        "headers.api-key: [redacted] (env: OTEL_EXPORTER_OTLP_HEADERS)",
        "headers.authorization: [redacted] (env: OTEL_EXPORTER_OTLP_LOGS_HEADERS)",
      ],
    ],
    [
      "headers in code",
      {},
      { headers: { "api-key": secret }, metrics: { headers: { "X-Other": secret } } },
      ["headers.api-key: [redacted] (code: headers)", "headers.x-other: [redacted] (code: metrics.headers)"],
    ],
    [
      "an endpoint in the environment",
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://user:${secret}@${dead}/?key=${secret}`,
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `http://${secret}@${dead}/logs`,
      },
      {},
      [
        `endpoint: http://[redacted]@${dead}/v1/traces?[redacted] (env: OTEL_EXPORTER_OTLP_ENDPOINT)`,
        `endpoint: http://[redacted]@${dead}/logs (env`,
      ],
    ],
    [
      "an endpoint in code",
      {},
      { endpoint: `http://user:${secret}@${dead}?key=${secret}#${secret}` },
      [`endpoint: http://[redacted]@${dead}/v1/metrics?[redacted] (code: endpoint)`],
    ],
    [
      "an endpoint for gRPC without a scheme",
      {
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_EXPORTER_OTLP_ENDPOINT: `user:${secret}@${dead}`,
        OTEL_EXPORTER_OTLP_INSECURE: "true",
      },
      {},
      [`endpoint: [redacted]@${dead} (env: OTEL_EXPORTER_OTLP_ENDPOINT)`],
    ],
    [
      "wrong endpoints",
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: `user:${secret}@${dead}`,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `ftp://${dead}?key=${secret}`,
      },
      {},
      [
        'OTEL_EXPORTER_OTLP_ENDPOINT="[redacted]" is ignored',
        'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="[redacted]" is ignored: it must be an http or https URL',
      ],
    ],
    [
      "wrong headers",
      { OTEL_EXPORTER_OTLP_HEADERS: `${secret},a b=${secret},%=${secret}` },
      {},
      [
        "of OTEL_EXPORTER_OTLP_HEADERS is ignored: it must be key=value pairs, separated by commas, that make valid headers",
      ],
    ],
    [
      "attributes of the resource",
      { OTEL_RESOURCE_ATTRIBUTES: `service.version=7,db.url=postgres://u:${secret}@h` },
      { resourceAttributes: { "pass.phrase": secret, "deployment.environment.name": "eu" } },
      [
        "resourceAttributes: service.version=7, db.url (env: ",
        "resourceAttributes: pass.phrase, deployment.environment.name=eu (code: ",
      ],
    ],
    [
      "a key that stands where the name of its file should",
      { OTEL_EXPORTER_OTLP_CLIENT_KEY: `-----BEGIN PRIVATE KEY----- ${secret}` },
      {},
      ['OTEL_EXPORTER_OTLP_CLIENT_KEY="[redacted]" is ignored: it must be the path of a file that can be read'],
    ],
    [
      "wrong attributes of the resource",
      { OTEL_RESOURCE_ATTRIBUTES: `a=${secret}=b` },
      {},
      ['OTEL_RESOURCE_ATTRIBUTES="[redacted]" is ignored'],
    ],
  ])("%s: the text appears nowhere", async (_what, env, options, shown) => {
    for (const level of ["", "info"]) {
      const { stdout, stderr } = await runProgram("emit-signals", {
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://${dead}`,
          DURABLE_TELEMETRY_DIAGNOSTICS: "true",
          OTEL_NODE_RESOURCE_DETECTORS: "none",
          OTEL_LOG_LEVEL: level,
          ...env,
        },
        input: { options: { shutdownTimeout: 50, ...options } },
      });
      const printed = stdout + stderr;
      expect(printed).not.toContain(secret);
      for (const line of shown) expect(printed).toContain(line);
    }
  });
});
