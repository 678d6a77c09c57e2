import { describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { deadCollector, startGunzip, startProxy } from "./collectors.ts";
import { runProgram } from "./program.ts";
import { type OtlpReceiver, type ReceivedSpan, startReceiver } from "./receiver.ts";

const two = (spans: readonly ReceivedSpan[]): boolean => spans.length === 2;

/** Runs the program against the receiver, and gives its two spans: the parent and its child. */
async function emit(
  receiver: OtlpReceiver,
  env: Record<string, string> = {},
  options?: Record<string, unknown>,
): Promise<{ readonly order: ReceivedSpan; readonly pay: ReceivedSpan }> {
  await runProgram("emit-spans", {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...env },
    input: options === undefined ? {} : { options },
  });
  const spans = await receiver.waitFor(two);
  const order = spans.find((span) => span.name === "order");
  const pay = spans.find((span) => span.name === "pay 0");
  if (order === undefined || pay === undefined) throw new Error("The spans are not those of the program");
  return { order, pay };
}

describe.concurrent("setupOtlp() without options", () => {
  it("sends spans as JSON over HTTP, whole and valid", async () => {
    await using receiver = await startReceiver();
    const { order, pay } = await emit(receiver);

    expect(receiver.requests.map(({ path, headers }) => [path, headers["content-type"]])).toEqual([
      ["/v1/traces", "application/json"],
    ]);
    expect(order).toMatchObject({
      parentSpanId: undefined,
      kind: "SERVER",
      status: { code: "UNSET", message: "" },
      attributes: { items: 3, price: 9.5, gift: false, tags: ["a", "b"] },
      scope: { name: "shop", version: "1.2.3" },
    });
    expect(pay).toMatchObject({
      traceId: order.traceId,
      parentSpanId: order.spanId,
      kind: "CLIENT",
      status: { code: "ERROR", message: "no money" },
      events: [{ name: "declined", attributes: { attempt: 1 } }],
      links: [{ traceId: order.traceId, spanId: order.spanId }],
    });
  });

  it("says in the resource which distribution it is, and detects process and host", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver);

    expect(order.resource).toMatchObject({
      "telemetry.distro.name": "durable-telemetry",
      "telemetry.distro.version": packageJson.version,
      "telemetry.sdk.language": "nodejs",
      "service.name": expect.stringContaining("unknown_service"),
      "process.pid": expect.any(Number),
      "host.name": expect.any(String),
      "service.instance.id": expect.any(String),
    });
  });

  it("reads the environment when it is called, not when it is imported, and leaves it as it was", async () => {
    await using receiver = await startReceiver();
    const { stdout } = await runProgram("env-at-call", { input: { collectors: [receiver.url] } });
    const [span] = await receiver.waitFor((spans) => spans.length === 1);
    expect(span?.resource["service.name"]).toBe("at-call");
    expect(receiver.requests[0]?.headers["key"]).toBe("at-call");
    expect(JSON.parse(stdout)).toEqual([
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "OTEL_EXPORTER_OTLP_HEADERS",
      "OTEL_SERVICE_NAME",
    ]);
  });
});

describe.concurrent("the environment", () => {
  it("OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES describe the service", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, {
      OTEL_SERVICE_NAME: "orders",
      OTEL_RESOURCE_ATTRIBUTES: "service.name=ignored,deployment.environment.name=test,team=a%2Cb",
    });
    expect(order.resource).toMatchObject({
      "service.name": "orders",
      "deployment.environment.name": "test",
      team: "a,b",
    });
  });

  it("OTEL_NODE_RESOURCE_DETECTORS selects what is detected, and never hides OTEL_RESOURCE_ATTRIBUTES", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, {
      OTEL_NODE_RESOURCE_DETECTORS: "host",
      OTEL_RESOURCE_ATTRIBUTES: "team=a",
    });
    expect(order.resource).toMatchObject({ "host.name": expect.any(String), team: "a" });
    expect(order.resource).not.toHaveProperty("process.pid");
  });

  it("OTEL_NODE_RESOURCE_DETECTORS takes the names of SDK 3.x: service, and host with the operating system", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, { OTEL_NODE_RESOURCE_DETECTORS: "service,host" });
    expect(Object.keys(order?.resource ?? {})).toEqual(
      expect.arrayContaining(["service.instance.id", "host.name", "os.type"]),
    );
    expect(order?.resource).not.toHaveProperty(["process.pid"]);
  });

  it("OTEL_NODE_RESOURCE_DETECTORS=none detects nothing", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, { OTEL_NODE_RESOURCE_DETECTORS: "none" });
    expect(Object.keys(order.resource).toSorted()).toEqual([
      "service.name",
      "telemetry.distro.name",
      "telemetry.distro.version",
      "telemetry.sdk.language",
      "telemetry.sdk.name",
      "telemetry.sdk.version",
    ]);
  });

  it("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT wins over OTEL_EXPORTER_OTLP_ENDPOINT and is taken as it is", async () => {
    await using receiver = await startReceiver();
    await using other = await startReceiver();
    await emit(receiver, {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_ENDPOINT: other.url,
    });
    expect(other.requests).toEqual([]);
  });

  it("OTEL_EXPORTER_OTLP_ENDPOINT may end in a slash and have a path", async () => {
    await using receiver = await startReceiver();
    await runProgram("emit-spans", { env: { OTEL_EXPORTER_OTLP_ENDPOINT: `${receiver.url}/tenant/a/` } });
    expect(receiver.requests.map((request) => request.path)).toEqual(["/tenant/a/v1/traces"]);
  });

  it("OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_TRACES_HEADERS are sent, the second winning", async () => {
    await using receiver = await startReceiver();
    await emit(receiver, { OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=1%202", OTEL_EXPORTER_OTLP_TRACES_HEADERS: "a=2" });
    expect(receiver.requests[0]?.headers).toMatchObject({ a: "2", b: "1 2" });
  });

  it.each(["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"])(
    "%s=gzip compresses",
    async (name) => {
      await using receiver = await startReceiver();
      await using gunzip = await startGunzip(receiver.url);
      const { order, pay } = await emit(receiver, { OTEL_EXPORTER_OTLP_ENDPOINT: gunzip.url, [name]: "gzip" });
      expect(pay.parentSpanId).toBe(order.spanId);
    },
  );

  it.skipIf(!process.allowedNodeEnvironmentFlags.has("--use-env-proxy"))(
    "NODE_USE_ENV_PROXY=1 sends through the proxy of HTTP_PROXY",
    async () => {
      await using receiver = await startReceiver();
      await using proxy = await startProxy(receiver.url);
      const { order, pay } = await emit(receiver, {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.invalid",
        NODE_USE_ENV_PROXY: "1",
        HTTP_PROXY: proxy.url,
      });
      expect(pay.parentSpanId).toBe(order.spanId);
    },
  );

  it("NODE_USE_ENV_PROXY=1 sends to a collector on the same machine without the proxy", async () => {
    await using receiver = await startReceiver();
    const { order, pay } = await emit(receiver, { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: "http://proxy.invalid:3128" });
    expect(pay.parentSpanId).toBe(order.spanId);
  });

  it.each(["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])(
    "%s=http/protobuf sends protobuf",
    async (name) => {
      await using receiver = await startReceiver();
      const { order, pay } = await emit(receiver, { [name]: "http/protobuf" }, { headers: { key: "secret" } });
      expect(receiver.requests.map(({ headers }) => [headers["content-type"], headers["key"]])).toEqual([
        ["application/x-protobuf", "secret"],
      ]);
      expect(order.attributes).toEqual({ items: 3, price: 9.5, gift: false, tags: ["a", "b"] });
      expect(pay).toMatchObject({
        traceId: order.traceId,
        parentSpanId: order.spanId,
        kind: "CLIENT",
        status: { code: "ERROR" },
      });
    },
  );

  it("OTEL_TRACES_SAMPLER=always_off records nothing", async () => {
    await using receiver = await startReceiver();
    await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_SAMPLER: "always_off" },
    });
    expect(receiver.requests).toEqual([]);
  });

  it.each([
    ["0", 0],
    ["1", 2],
  ])(
    "OTEL_TRACES_SAMPLER_ARG=%s is the ratio of OTEL_TRACES_SAMPLER=parentbased_traceidratio",
    async (ratio, count) => {
      await using receiver = await startReceiver();
      await runProgram("emit-spans", {
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
          OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
          OTEL_TRACES_SAMPLER_ARG: ratio,
        },
      });
      expect(receiver.spans).toHaveLength(count);
    },
  );

  it("OTEL_SDK_DISABLED=true sends nothing and registers nothing", async () => {
    await using receiver = await startReceiver();
    const { stdout } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SDK_DISABLED: "TRUE" },
    });
    expect(receiver.requests).toEqual([]);
    expect(JSON.parse(stdout)).toEqual({});
  });

  it("OTEL_TRACES_EXPORTER=none sends nothing", async () => {
    await using receiver = await startReceiver();
    await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_EXPORTER: "none" },
    });
    expect(receiver.requests).toEqual([]);
  });

  it("OTEL_TRACES_EXPORTER=console prints spans and sends none", async () => {
    await using receiver = await startReceiver();
    const { stdout } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_EXPORTER: "console" },
    });
    expect(receiver.requests).toEqual([]);
    expect(stdout).toContain("name: 'pay 0'");
  });

  it("OTEL_TRACES_EXPORTER=console,otlp does both", async () => {
    await using receiver = await startReceiver();
    const { stdout } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_EXPORTER: "console,otlp" },
    });
    await receiver.waitFor(two);
    expect(stdout).toContain("name: 'pay 0'");
  });

  it.each(["zipkin", "zipkin,otlp"])(
    "OTEL_TRACES_EXPORTER=%s: the exporter that there is not is reported and ignored",
    async (value) => {
      await using receiver = await startReceiver();
      const { stderr } = await runProgram("emit-spans", {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_TRACES_EXPORTER: value },
      });
      expect(stderr).toBe(
        'durable-telemetry: OTEL_TRACES_EXPORTER="zipkin" is ignored: it must be any of otlp, console, none\n',
      );
      await receiver.waitFor(two);
    },
  );

  it.each([
    ["", ["traceparent"]],
    ["b3", ["b3"]],
    ["b3multi,tracecontext", ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "traceparent"]],
    ["none", []],
  ])('OTEL_PROPAGATORS="%s" injects %j', async (propagators, expected) => {
    await using receiver = await startReceiver();
    const { stdout } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_PROPAGATORS: propagators },
    });
    expect(Object.keys(JSON.parse(stdout))).toEqual(expected);
  });

  it("OTEL_LOG_LEVEL sets how much OpenTelemetry says of itself", async () => {
    await using receiver = await startReceiver();
    const run = async (level: string): Promise<string> =>
      (await runProgram("emit-spans", { env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_LOG_LEVEL: level } }))
        .stdout;
    expect(await run("debug")).toContain("Registered a global for trace");
    expect(await run("warn")).not.toContain("Registered a global for trace");
  });

  it("an empty variable is an unset one", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "",
      OTEL_EXPORTER_OTLP_HEADERS: " ",
      OTEL_EXPORTER_OTLP_PROTOCOL: "",
      OTEL_EXPORTER_OTLP_TIMEOUT: "",
      OTEL_TRACES_SAMPLER: "",
      OTEL_TRACES_EXPORTER: "",
      OTEL_METRICS_EXPORTER: "",
      OTEL_LOGS_EXPORTER: " ",
      OTEL_SERVICE_NAME: "",
      OTEL_SDK_DISABLED: "",
      OTEL_BSP_MAX_QUEUE_SIZE: "",
      OTEL_LOG_LEVEL: "",
    });
    expect(order.resource["service.name"]).toContain("unknown_service");
    expect(receiver.requests).toHaveLength(1);
  });

  it.each([
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", 'an http or https URL such as "http://localhost:4318"'],
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "no url", 'an http or https URL such as "http://localhost:4318"'],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon", '"http/json" or "http/protobuf" or "grpc"'],
    ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", '"gzip" or "none"'],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "a number of milliseconds greater than 0 and at most 2147483647"],
    ["OTEL_BSP_SCHEDULE_DELAY", "2147483648", "a number of milliseconds greater than 0 and at most 2147483647"],
    ["OTEL_BSP_MAX_QUEUE_SIZE", "-1", "a whole number greater than 0"],
    [
      "OTEL_TRACES_SAMPLER",
      "sometimes",
      '"always_on" or "always_off" or "traceidratio" or "parentbased_always_on" or "parentbased_always_off" or "parentbased_traceidratio"',
    ],
    ["OTEL_TRACES_SAMPLER_ARG", "2", "a number from 0 to 1"],
    ["OTEL_PROPAGATORS", "smoke", "any of tracecontext, baggage, b3, b3multi, none"],
    ["OTEL_NODE_RESOURCE_DETECTORS", "weather", "any of all, none, env, service, serviceinstance, process, host, os"],
    ["OTEL_SDK_DISABLED", "yes", "true or false"],
    ["DURABLE_TELEMETRY_HANDLE_SIGTERM", "1", "true or false"],
    ["OTEL_LOG_LEVEL", "loud", '"none" or "error" or "warn" or "info" or "debug" or "verbose" or "all"'],
  ])("a wrong %s is reported once, on the console, and ignored", async (name, value, allowed) => {
    const { stderr } = await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: deadCollector, [name]: value },
      input: { options: { shutdownTimeout: 50 } },
    });
    const lines = stderr.split("\n");
    const shown = name.endsWith("ENDPOINT") ? "[redacted]" : value; // It may be a key.
    expect(lines[0]).toBe(`durable-telemetry: ${name}="${shown}" is ignored: it must be ${allowed}`);
    expect(lines.filter((line) => line.includes(name))).toHaveLength(1);
  });
});

describe.concurrent("OTEL_BSP_*", () => {
  it("MAX_EXPORT_BATCH_SIZE bounds a request", async () => {
    await using receiver = await startReceiver();
    await runProgram("emit-spans", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "2" },
      input: { spans: 4 },
    });
    await receiver.waitFor((spans) => spans.length === 5);
    expect(receiver.requests).toHaveLength(3);
  });

  it("K6 MAX_QUEUE_SIZE bounds what waits: children go before parents", async () => {
    await using receiver = await startReceiver();
    const { stderr } = await runProgram("emit-spans", {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_BSP_MAX_QUEUE_SIZE: "3",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "3",
      },
      input: { spans: 3 },
    });
    expect(receiver.spans.map((span) => span.name)).toEqual(["pay 0", "pay 1", "order"]);
    expect(stderr).toBe(
      "durable-telemetry: dropped 1 span: more than maxQueueSize (3), or 32 MiB, waited for the collector\n",
    );
  });
});

describe.concurrent("options", () => {
  it("serviceName wins over resourceAttributes, and both over the environment", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(
      receiver,
      { OTEL_SERVICE_NAME: "from-env", OTEL_RESOURCE_ATTRIBUTES: "team=env,region=env" },
      {
        serviceName: "from-code",
        resourceAttributes: {
          "service.name": "weaker",
          team: "code",
          shard: 7,
          ratio: 0.5,
          primary: true,
          zones: ["a", "b"],
        },
      },
    );
    expect(order.resource).toMatchObject({
      "service.name": "from-code",
      team: "code",
      region: "env",
      shard: 7,
      ratio: 0.5,
      primary: true,
      zones: ["a", "b"],
    });
  });

  it("service.name in resourceAttributes wins over OTEL_SERVICE_NAME", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(
      receiver,
      { OTEL_SERVICE_NAME: "from-env" },
      { resourceAttributes: { "service.name": "from-code" } },
    );
    expect(order.resource["service.name"]).toBe("from-code");
  });

  it("empty strings leave the decision to the environment", async () => {
    await using receiver = await startReceiver();
    const { order } = await emit(receiver, { OTEL_SERVICE_NAME: "from-env" }, { serviceName: "", endpoint: "" });
    expect(order.resource["service.name"]).toBe("from-env");
  });

  it("endpoint wins over both variables; /v1/traces is appended", async () => {
    await using receiver = await startReceiver();
    await using other = await startReceiver();
    await emit(
      receiver,
      { OTEL_EXPORTER_OTLP_ENDPOINT: other.url, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${other.url}/v1/traces` },
      { endpoint: receiver.url },
    );
    expect(other.requests).toEqual([]);
  });

  it.each([
    ["/", "/v1/traces"],
    ["/tenant", "/tenant/v1/traces"],
    ["/tenant//", "/tenant/v1/traces"],
    ["/tenant?key=1", "/tenant/v1/traces?key=1"],
  ])("endpoint may end in %s", async (ending, path) => {
    await using receiver = await startReceiver();
    await runProgram("emit-spans", { input: { options: { endpoint: receiver.url + ending } } });
    expect(receiver.requests.map((request) => request.path)).toEqual([path]);
  });

  it("headers are added to those of the environment and win over them, whatever their case", async () => {
    await using receiver = await startReceiver();
    await emit(
      receiver,
      { OTEL_EXPORTER_OTLP_HEADERS: "authorization=env,tenant=env" },
      { headers: { Authorization: "code", empty: "" } },
    );
    expect(receiver.requests[0]?.headers).toMatchObject({ authorization: "code", tenant: "env", empty: "" });
  });
});
