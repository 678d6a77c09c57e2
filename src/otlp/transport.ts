import { once } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { ServiceError } from "@grpc/grpc-js";
import { version } from "../version.ts";
import { messageOf } from "./diagnostics.ts";
import { load } from "./packages.ts";
import type { Signal, SignalSettings } from "./settings.ts";

/** The result of a request. `unanswered`: it is unknown whether the collector accepted it. */
export type Answer =
  | { readonly state: "taken"; readonly body: Uint8Array }
  | {
      readonly state: "refused" | "unanswered";
      /** The kind of cause: a constant, unlike the reason. */
      readonly cause: string;
      readonly reason: string;
      /** Whether another attempt may succeed, and after how many milliseconds if the collector requests a delay. */
      readonly mayRetry?: boolean;
      readonly retryAfter?: number | undefined;
      readonly isTooLarge?: boolean;
    };

/** A connection to a collector. `send` never rejects; it ends when the signal aborts. */
export interface Transport {
  send(body: Uint8Array, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

export const timedOut: Answer = { state: "unanswered", cause: "timeout", reason: "Request timed out" };

const userAgent = `durable-telemetry/${version}`;
const retryableStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const retryableErrors: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "ENETUNREACH",
  "EHOSTUNREACH",
]);
// No collector sends a longer answer.
const longestAnswer = 4 * 2 ** 20;
const compress = promisify(gzip);
/** The hosts of a collector on this machine, which a proxy on another can't reach. */
const loopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

export function httpTransport({ endpoint, protocol, compression, headers, tls }: SignalSettings): Transport {
  const { Agent, globalAgent, request } = endpoint.startsWith("https:") ? https : http;
  // With NODE_USE_ENV_PROXY, exports use the proxy of the program's other requests. Types of Node.js lack these options.
  const { proxyEnv } = (globalAgent as { readonly options?: http.AgentOptions }).options ?? {};
  const isHere = loopback.test(new URL(endpoint).hostname);
  const agent = new Agent({ keepAlive: true, proxyEnv: isHere ? undefined : proxyEnv, ...tls });
  const isCompressed = compression === "gzip";
  const all = {
    "user-agent": userAgent,
    "content-type": protocol === "http/json" ? "application/json" : "application/x-protobuf",
    ...(isCompressed ? { "content-encoding": "gzip" } : {}),
    ...headers,
  };
  return {
    send: async (plain, signal) => {
      try {
        const body = isCompressed ? await compress(plain) : plain;
        const outgoing = request(endpoint, {
          method: "POST",
          agent,
          signal,
          headers: { ...all, "content-length": body.length },
        }).end(body);
        const [response] = (await once(outgoing, "response")) as [http.IncomingMessage];
        outgoing.on("error", () => {}); // The response emits it too.
        const chunks: Buffer[] = [];
        let size = 0;
        for await (const chunk of response as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > longestAnswer) throw new Error(`the answer is longer than ${longestAnswer} bytes`);
          chunks.push(chunk);
        }
        return answerOf(response, Buffer.concat(chunks));
      } catch (error) {
        return signal.aborted ? timedOut : httpFailure(error);
      }
    },
    close: () => agent.destroy(),
  };
}

function answerOf({ statusCode = 0, headers }: http.IncomingMessage, body: Uint8Array): Answer {
  const isWebPage = headers["content-type"]?.startsWith("text/html") === true;
  if (statusCode >= 200 && statusCode < 300) {
    return isWebPage
      ? { state: "refused", cause: "web page", reason: "the answer is a web page, not that of an OTLP collector" }
      : { state: "taken", body };
  }
  // Not the collector's reason phrase: that can be any string.
  const status = `HTTP ${statusCode} ${http.STATUS_CODES[statusCode] ?? ""}`.trim();
  return {
    state: "refused",
    cause: `HTTP ${statusCode}`,
    reason: isWebPage ? `${status}, with a web page: is this an OTLP collector?` : status,
    mayRetry: retryableStatuses.has(statusCode),
    retryAfter: retryAfterOf(headers["retry-after"]),
    isTooLarge: statusCode === 413,
  };
}

/** The delay in milliseconds; `undefined` if it is negative or malformed. */
function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return wait > 0 ? wait : undefined;
}

function httpFailure(error: unknown): Answer {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  if (typeof code !== "string") return { state: "refused", cause: "error", reason: messageOf(error) };
  const reason = code.startsWith("HPE_") ? `${code}: the answer is not HTTP; is this port gRPC?` : code;
  return {
    state: code === "ECONNRESET" ? "unanswered" : "refused",
    cause: code,
    reason,
    mayRetry: retryableErrors.has(code),
  };
}

const services = { traces: "trace.v1.TraceService", metrics: "metrics.v1.MetricsService", logs: "logs.v1.LogsService" };
// CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
const retryableCodes: ReadonlySet<number> = new Set([1, 4, 8, 10, 11, 14, 15]);
const gzipOfGrpc = 2;
const longestBackoff = 5000;

export function grpcTransport(signal: Signal, { endpoint, compression, headers, tls }: SignalSettings): Transport {
  const { Client, credentials, Metadata, status } = load("@grpc/grpc-js");
  const { hostname, port, protocol } = new URL(endpoint);
  const isPlain = protocol === "http:";
  const { ca = null, key = null, cert = null } = tls;
  const client = new Client(
    // A URL leaves out the default port of its scheme; that of a gRPC client is 443 for both.
    `${hostname}:${port === "" ? (isPlain ? 80 : 443) : port}`,
    isPlain ? credentials.createInsecure() : credentials.createSsl(ca, key, cert),
    {
      "grpc.primary_user_agent": userAgent,
      // The default is two minutes, for which all exports to a collector that is back would fail.
      "grpc.max_reconnect_backoff_ms": longestBackoff,
      ...(compression === "gzip" ? { "grpc.default_compression_algorithm": gzipOfGrpc } : {}),
    },
  );
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const path = `/opentelemetry.proto.collector.${services[signal]}/Export`;
  const asIs = (bytes: Buffer): Buffer => bytes;
  const failure = ({ code, details, message }: ServiceError): Answer => {
    const [errno] = /\bE[A-Z]{4,}\b/.exec(details) ?? [];
    const isNoGrpc = errno === undefined && /null|protocol error|connection dropped/i.test(details);
    const reason = isNoGrpc
      ? "no gRPC server answers; is this port gRPC?"
      : (errno ?? (details === "" ? message : details));
    const state = errno === "ECONNRESET" ? "unanswered" : "refused";
    return {
      state,
      cause: `gRPC ${code}`,
      reason: `${status[code]}: ${reason}`,
      mayRetry: retryableCodes.has(code),
      isTooLarge: /larger than max/i.test(details),
    };
  };
  return {
    send: (body, abort) =>
      new Promise((resolve) => {
        const call = client.makeUnaryRequest(path, asIs, asIs, Buffer.from(body), metadata, (error, answer) => {
          if (error === null) resolve({ state: "taken", body: answer ?? new Uint8Array() });
          else resolve(abort.aborted ? timedOut : failure(error));
        });
        abort.addEventListener("abort", () => call.cancel(), { once: true });
      }),
    close: () => client.close(),
  };
}
