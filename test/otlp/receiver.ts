/**
 * An OTLP receiver for tests: a real one (`@elastic/mockotlpserver`), in this process, on a free port.
 *
 * It takes whatever any program sends it over OTLP/HTTP, as protobuf or JSON. The bytes of every request are also
 * decoded strictly here (see `decode.ts`); a request that breaks the protocol fails `waitFor` and `close`.
 *
 * @example
 * ```ts
 * await using receiver = await startReceiver();
 * await runProgram({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
 * const spans = await receiver.waitFor((spans) => spans.length === 3);
 * expect(spans.map((span) => span.name)).toEqual([...]);
 * ```
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { IncomingMessage, ServerResponse, type IncomingHttpHeaders } from "node:http";
import { MockOtlpServer } from "@elastic/mockotlpserver";
import { decodeLogsRequest, type ReceivedLogRecord } from "./decode-logs.ts";
import { decodeMetricsRequest, type ReceivedMetric } from "./decode-metrics.ts";
import { decodeTraceRequest, type ReceivedSpan } from "./decode.ts";

export type { ReceivedSpan } from "./decode.ts";

/** A request of any signal, as it came. */
export interface ReceivedRequest {
  /** `/v1/traces` and so on. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export interface OtlpReceiver extends AsyncDisposable {
  /** The base URL, as for `OTEL_EXPORTER_OTLP_ENDPOINT`; without a trailing slash. */
  readonly url: string;
  /** The spans so far, in order of arrival. */
  readonly spans: readonly ReceivedSpan[];
  /** The metrics so far, in order of arrival: one for each time that one was exported. */
  readonly metrics: readonly ReceivedMetric[];
  /** The log records so far, in order of arrival. */
  readonly logs: readonly ReceivedLogRecord[];
  /** The requests so far, of all signals and paths. */
  readonly requests: readonly ReceivedRequest[];
  /**
   * Waits until `predicate` is true for the spans that have arrived, and returns these. It is asked again whenever
   * anything arrives, so it can look at metrics and log records too.
   *
   * @param timeout in milliseconds; 20 seconds by default.
   * @throws Error that says what has arrived, when the time is over; or what was wrong with a request.
   */
  waitFor(predicate: (spans: readonly ReceivedSpan[]) => boolean, timeout?: number): Promise<readonly ReceivedSpan[]>;
  /** Stops listening. @throws Error if a request broke the protocol. */
  close(): Promise<void>;
}

/** Starts a receiver on a free port of 127.0.0.1. */
export async function startReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metrics: ReceivedMetric[] = [];
  const logs: ReceivedLogRecord[] = [];
  const requests: ReceivedRequest[] = [];
  const changes = new EventTarget();
  let fault: Error | undefined;

  // The server publishes what it accepted to all receivers of the process, from within the "end" event of the
  // request. So what it brings belongs to the request that ended in this same tick, if it was one of ours.
  let ending: ReceivedRequest | undefined;
  const accept =
    <T>(into: T[], decode: (contentType: string, body: Uint8Array) => T[]) =>
    (): void => {
      if (ending === undefined) return;
      try {
        into.push(...decode(ending.headers["content-type"] ?? "", ending.body));
      } catch (error) {
        fault ??= new Error("A request broke the OTLP protocol", { cause: error });
      }
      changes.dispatchEvent(new Event("change"));
    };
  const server = new MockOtlpServer({
    services: ["http"],
    httpHostname: "127.0.0.1",
    httpPort: 0,
    logLevel: "fatal",
    onTrace: accept(spans, decodeTraceRequest),
    onMetrics: accept(metrics, decodeMetricsRequest),
    onLogs: accept(logs, decodeLogsRequest),
  });
  await server.start();
  if (server.httpUrl === null) throw new Error("The OTLP receiver has no address");
  const port = Number(server.httpUrl.port);

  const onRequestStart = (message: unknown): void => {
    if (!isRequestStart(message) || message.request.socket.localPort !== port) return;
    const { request } = message;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      ending = { path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) };
      requests.push(ending);
      queueMicrotask(() => {
        ending = undefined;
      });
    });
  };
  subscribe("http.server.request.start", onRequestStart);

  const throwFault = (): void => {
    if (fault !== undefined) throw fault;
  };
  const close = async (): Promise<void> => {
    await server.close();
    unsubscribe("http.server.request.start", onRequestStart);
    throwFault();
  };
  return {
    url: server.httpUrl.origin,
    spans,
    metrics,
    logs,
    requests,
    waitFor: async (predicate, timeout = 20_000) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly ReceivedSpan[]>();
      const check = (): void => {
        try {
          throwFault();
          if (predicate(spans)) resolve(spans);
        } catch (error) {
          reject(error);
        }
      };
      const timer = setTimeout(
        () => reject(new Error(`Waited ${timeout} ms in vain; there are ${describe(spans)}`)),
        timeout,
      );
      changes.addEventListener("change", check);
      try {
        check();
        return await promise;
      } finally {
        clearTimeout(timer);
        changes.removeEventListener("change", check);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function isRequestStart(
  message: unknown,
): message is { readonly request: IncomingMessage; readonly response: ServerResponse } {
  return (
    typeof message === "object" &&
    message !== null &&
    "request" in message &&
    message.request instanceof IncomingMessage
  );
}

function describe(spans: readonly ReceivedSpan[]): string {
  return spans.length === 0 ? "no spans" : `${spans.length} spans: ${spans.map((span) => span.name).join(", ")}`;
}
