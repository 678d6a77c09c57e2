import { propagation, trace } from "@opentelemetry/api";
import { setupOtlp } from "durable-telemetry/otlp";
import { describe, expect, it } from "vitest";

// As from JavaScript, where no compiler looks.
const setup = (options: unknown): unknown => Reflect.apply(setupOtlp, undefined, [options]);

describe("setupOtlp refuses wrong options with a TypeError, and starts nothing", () => {
  it.each<[options: unknown, message: string]>([
    [null, "setupOtlp: the options must be an object with any of disabled, serviceName,"],
    [[], "the options must be an object"],
    ["http://localhost:4318", "the options must be an object"],
    [
      { servicename: "a" },
      'unknown option "servicename"; allowed are disabled, serviceName, resourceDetectors,',
    ],
    [{ serviceName: 7 }, '"serviceName" must be a string, not 7'],
    [{ serviceName: null }, '"serviceName" must be a string, not null'],
    [{ endpoint: 4318 }, '"endpoint" must be an http or https URL such as "http://localhost:4318", not 4318'],
    [{ endpoint: "localhost:4318" }, '"endpoint" must be an http or https URL such as "http://localhost:4318", not "[redacted]"'],
    [{ endpoint: "grpc://localhost" }, '"endpoint" must be an http or https URL'],
    [{ endpoint: "http://" }, '"endpoint" must be an http or https URL'],
    [{ headers: "a=1" }, '"headers" must be an object of header names and texts, not a string'],
    [{ headers: { key: 1 } }, '"headers.key" must be a string, not 1'],
    [{ headers: { key: undefined } }, '"headers.key" must be a string, not undefined'],
    [{ headers: { "a b": "1" } }, '"headers" has "a b", which is no valid HTTP header name'],
    [{ headers: { key: "line\nbreak" } }, '"headers.key" has characters that an HTTP header must not have'],
    [{ resourceAttributes: [] }, '"resourceAttributes" must be an object of names and values, not an array'],
    [{ resourceAttributes: { "": 1 } }, '"resourceAttributes" has an empty name'],
    [{ resourceAttributes: { a: {} } }, '"resourceAttributes.a" must be a string, a finite number, a boolean, or an array of one of these, not an object'],
    [{ resourceAttributes: { a: Number.NaN } }, '"resourceAttributes.a" must be'],
    [{ resourceAttributes: { a: ["x", 1] } }, '"resourceAttributes.a" must be'],
    [{ sampler: "sometimes" }, '"sampler" must be always_on, always_off, traceidratio, parentbased_always_on, '],
    [{ sampler: { shouldSample() {} } }, '"sampler" must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio, not an object'],
    [{ samplerArg: 2 }, '"samplerArg" must be a number from 0 to 1, not 2'],
    [{ protocol: "http" }, '"protocol" must be http/json, http/protobuf or grpc, not "http"'],
    [{ certificate: "/no/such/file" }, '"certificate" must be the path of a file that can be read, not "/no/such/file"'],
    [{ compression: true }, '"compression" must be gzip or none, not a boolean'],
    [{ propagators: ["tracecontext", "smoke"] }, '"propagators[1]" must be tracecontext, baggage, b3, b3multi or none, not "smoke"'],
    [{ disabled: "true" }, '"disabled" must be true or false, not "true"'],
    [{ traces: true }, '"traces" must be false or an object of options, not a boolean'],
    [{ traces: { endpont: "" } }, 'unknown option "traces.endpont"; allowed are exporter, protocol, compression,'],
    [{ metrics: { scheduleDelay: 1 } }, 'unknown option "metrics.scheduleDelay"; allowed are exporter,'],
    [{ metrics: { exporter: "prometheus" } }, '"metrics.exporter" must be otlp, console or none, not "prometheus"'],
    [{ logs: { maxQueueSize: 1.5 } }, '"logs.maxQueueSize" must be a whole number greater than 0, not 1.5'],
    [{ logs: { headers: { key: 1 } } }, '"logs.headers.key" must be a string, not 1'],
    [{ metricReaders: [] }, 'unknown option "metricReaders"; allowed are disabled,'],
    [{ headers: new Map([["key", "1"]]) }, '"headers" must be an object of header names and texts, not an object of the kind Map'],
    [{ logs: { headers: new globalThis.Headers({ key: "1" }) } }, '"logs.headers" must be an object of header names and texts, not an object of the kind Headers'],
    [{ resourceAttributes: new Map([["key", "1"]]) }, '"resourceAttributes" must be an object of names and values, not an object of the kind Map'],
    [{ protocol: "grpc", headers: { "token-bin": "1" } }, '"headers" has "token-bin", which is no valid gRPC header name'],
    [{ protocol: "grpc", headers: { key: "1é" } }, '"headers.key" has characters that a gRPC header must not have'],
    [{ shutdownTimeout: "5s" }, '"shutdownTimeout" must be a number of milliseconds greater than 0 and at most 2147483647, not "5s"'],
    [{ shutdownTimeout: 0 }, '"shutdownTimeout" must be a number of milliseconds'],
    [{ shutdownTimeout: Number.NaN }, '"shutdownTimeout" must be a number of milliseconds'],
    [{ shutdownTimeout: Number.POSITIVE_INFINITY }, '"shutdownTimeout" must be a number of milliseconds'],
    [{ handleSigterm: "yes" }, '"handleSigterm" must be true or false, not "yes"'],
  ])("%j", (options, message) => {
    const before = trace.getTracerProvider();
    expect(() => setup(options)).toThrow(expect.objectContaining({ name: "TypeError", message: expect.stringContaining(message) }));
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
    expect(() => setup(options)).toThrow(expect.objectContaining({ name: "TypeError", message: expect.not.stringContaining("secret") }));
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
