import { propagation, trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { describe, expect, it } from "vitest";

// As from JavaScript, where no compiler looks.
const setup = (options: unknown): unknown => Reflect.apply(setupOtlp, undefined, [options]);

describe("setupOtlp refuses wrong options with a TypeError, and starts nothing", () => {
  it.each<[options: unknown, message: string]>([
    [null, "setupOtlp: the options must be an object"],
    [[], "setupOtlp: the options must be an object"],
    ["http://localhost:4318", "setupOtlp: the options must be an object"],
    [
      { servicename: "a" },
      'setupOtlp: unknown option "servicename"; the options are disabled, serviceName, resourceDetectors,',
    ],
    [{ serviceName: 7 }, 'setupOtlp: option "serviceName" must be a string.'],
    [{ serviceName: null }, 'option "serviceName" must be a string.'],
    [{ endpoint: 4318 }, 'option "endpoint" must be an http or https URL such as "http://localhost:4318".'],
    [{ endpoint: "localhost:4318" }, 'option "endpoint" must be an http or https URL such as "http://localhost:4318".'],
    [{ endpoint: "grpc://localhost" }, 'option "endpoint" must be an http or https URL'],
    [{ endpoint: "http://" }, 'option "endpoint" must be an http or https URL'],
    [{ headers: "a=1" }, 'option "headers" must be an object of header names and strings.'],
    [
      { headers: { key: 1 } },
      'setupOtlp: headers: option "key" must be a string of printable ASCII characters, with a name of',
    ],
    [
      { headers: { "a b": "1" } },
      'setupOtlp: headers: option "a b" must be a string of printable ASCII characters, with a name of letters, digits,',
    ],
    [
      { headers: { key: "line\nbreak" } },
      'setupOtlp: headers: option "key" must be a string of printable ASCII characters',
    ],
    [{ headers: { key: "1é" } }, 'setupOtlp: headers: option "key" must be a string of printable ASCII characters'],
    [
      { headers: { "token-bin": "1" } },
      'setupOtlp: headers: option "token-bin" must be a string of printable ASCII characters, with a name of',
    ],
    [{ resourceAttributes: [] }, 'option "resourceAttributes" must be an object of names and values.'],
    [
      { resourceAttributes: { "": 1 } },
      'setupOtlp: resourceAttributes: option "" must be a string, a finite number, a boolean, or an array of one of these, with a name.',
    ],
    [
      { resourceAttributes: { a: {} } },
      'setupOtlp: resourceAttributes: option "a" must be a string, a finite number, a boolean, or an array of one of these',
    ],
    [{ resourceAttributes: { a: Number.NaN } }, 'setupOtlp: resourceAttributes: option "a" must be'],
    [{ resourceAttributes: { a: ["x", 1] } }, 'setupOtlp: resourceAttributes: option "a" must be'],
    [
      { sampler: "sometimes" },
      'option "sampler" must be "always_on" or "always_off" or "traceidratio" or "parentbased_always_on" or ',
    ],
    [{ sampler: { shouldSample() {} } }, 'option "sampler" must be "always_on" or'],
    [{ samplerArg: 2 }, 'option "samplerArg" must be a number from 0 to 1.'],
    [{ protocol: "http" }, 'option "protocol" must be "http/json" or "http/protobuf" or "grpc".'],
    [{ certificate: "/no/such/file" }, 'option "certificate" must be the path of a file that can be read.'],
    [{ compression: true }, 'option "compression" must be "gzip" or "none".'],
    [
      { propagators: ["tracecontext", "smoke"] },
      'option "propagators" must be any of tracecontext, baggage, b3, b3multi, none.',
    ],
    [{ disabled: "true" }, 'option "disabled" must be true or false.'],
    [{ traces: true }, 'option "traces" must be false or an object of options.'],
    [
      { traces: { endpont: "" } },
      'setupOtlp: traces: unknown option "endpont"; the options are exporter, protocol, compression,',
    ],
    [
      { metrics: { scheduleDelay: 1 } },
      'setupOtlp: metrics: unknown option "scheduleDelay"; the options are exporter,',
    ],
    [
      { metrics: { exporter: "prometheus" } },
      'setupOtlp: metrics: option "exporter" must be any of otlp, console, none.',
    ],
    [{ logs: { maxQueueSize: 1.5 } }, 'setupOtlp: logs: option "maxQueueSize" must be a whole number greater than 0.'],
    [{ logs: { headers: { key: 1 } } }, 'setupOtlp: logs: headers: option "key" must be a string'],
    [{ metricReaders: [] }, 'unknown option "metricReaders"; the options are disabled,'],
    [{ headers: new Map([["key", "1"]]) }, 'option "headers" must be an object of header names and strings.'],
    [{ logs: { headers: new globalThis.Headers({ key: "1" }) } }, 'setupOtlp: logs: option "headers" must be'],
    [{ resourceAttributes: new Map([["key", "1"]]) }, 'option "resourceAttributes" must be'],
    [
      { shutdownTimeout: "5s" },
      'option "shutdownTimeout" must be a number of milliseconds greater than 0 and at most 2147483647.',
    ],
    [{ shutdownTimeout: 0 }, 'option "shutdownTimeout" must be a number of milliseconds'],
    [{ shutdownTimeout: Number.NaN }, 'option "shutdownTimeout" must be a number of milliseconds'],
    [{ shutdownTimeout: Number.POSITIVE_INFINITY }, 'option "shutdownTimeout" must be a number of milliseconds'],
    [{ handleSigterm: "yes" }, 'option "handleSigterm" must be true or false.'],
  ])("%j", (options, message) => {
    const before = trace.getTracerProvider();
    expect(() => setup(options)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.stringContaining(message) }),
    );
    expect(trace.getTracerProvider()).toBe(before);
    expect(propagation.fields()).toEqual([]);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });

  it.each([
    { headers: { authorization: "secret\n" } },
    { protocol: "grpc", headers: { authorization: "secreté" } },
    { endpoint: "grpc://user:secret@collector/?key=secret" },
    { traces: { endpoint: "user:secret@collector" } },
    { clientKey: "-----BEGIN PRIVATE KEY----- secret" },
    { metrics: { clientKey: "\nsecret" } },
  ])("never shows a secret: %j", (options) => {
    expect(() => setup(options)).toThrow(
      expect.objectContaining({ name: "TypeError", message: expect.not.stringContaining("secret") }),
    );
  });

  it("an option that is undefined is not given", async () => {
    const options = {
      traces: undefined,
      metrics: { endpoint: undefined },
      serviceName: undefined,
      endpoint: undefined,
      headers: undefined,
      resourceAttributes: { a: undefined },
      sampler: undefined,
      shutdownTimeout: undefined,
      handleSigterm: undefined,
    };
    await setupOtlp(options).shutdown();
  });
});
