import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext } from "node:tls";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { ServiceError } from "@grpc/grpc-js";
import { version } from "../version.ts";
import { messageOf, warn } from "./diagnostics.ts";
import { load } from "./packages.ts";
import type { Signal, SignalSettings } from "./settings.ts";

/** What a collector made of a request. */
export type Answer =
  | { readonly isTaken: true; readonly body: Uint8Array }
  | {
      readonly isTaken: false;
      /** A kind of cause, and not a text that varies. */
      readonly kind: string;
      readonly text: string;
      /** Whether another attempt may succeed, and after how many milliseconds if the collector says so. */
      readonly mayRetry?: boolean;
      readonly retryAfter?: number | undefined;
      readonly isTooLarge?: boolean;
    };

/** The way to a collector. `send` never rejects; it ends when the signal aborts. */
export interface Transport {
  send(body: Uint8Array, signal: AbortSignal): Promise<Answer>;
  close(): void;
}

export const timedOut: Answer = { isTaken: false, kind: "timeout", text: "Request timed out" };

const userAgent = `durable-telemetry/${version}`;

/** The transport that the settings ask for. */
export function createTransport(signal: Signal, settings: SignalSettings): Transport {
  return settings.protocol.value === "grpc" ? grpcTransport(signal, settings) : httpTransport(signal, settings);
}

interface TlsFiles {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

/** The files that the settings name. Those that TLS can't use are reported and left out. */
function tlsFilesOf(signal: Signal, { certificate, clientCertificate, clientKey }: SignalSettings): TlsFiles {
  const given = [certificate, clientCertificate, clientKey].filter(({ value }) => value !== undefined);
  if (given.length === 0) return {};
  const files = { ca: certificate.value?.content, cert: clientCertificate.value?.content, key: clientKey.value?.content };
  try {
    if ((files.cert === undefined) !== (files.key === undefined)) throw new Error("a client's certificate and key need each other");
    createSecureContext(files);
    return files;
  } catch (error) {
    warn(`${signal} are exported without what is in the files of ${given.map(({ source }) => source).join(", ")} (${messageOf(error)})`);
    return {};
  }
}

const retryableStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const retryableErrors: ReadonlySet<string> = new Set(
  ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND", "ENETUNREACH", "EHOSTUNREACH"],
);
// A longer answer is none of a collector's.
const longestAnswer = 4 * 2 ** 20;
const compress = promisify(gzip);

function httpTransport(signal: Signal, settings: SignalSettings): Transport {
  const url = new URL(settings.endpoint.value);
  const { Agent, request } = url.protocol === "https:" ? https : http;
  const agent = new Agent({ keepAlive: true, ...(url.protocol === "https:" ? tlsFilesOf(signal, settings) : {}) });
  const isCompressed = settings.compression.value === "gzip";
  const headers = {
    "user-agent": userAgent,
    "content-type": settings.protocol.value === "http/json" ? "application/json" : "application/x-protobuf",
    ...(isCompressed ? { "content-encoding": "gzip" } : {}),
    ...Object.fromEntries([...settings.headers].map(([name, { value }]) => [name, value])),
  };
  return {
    send: async (plain, abort) => {
      const body = isCompressed ? await compress(plain) : plain;
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const fail = (error: Error): void => resolve(abort.aborted ? timedOut : httpFailure(error));
      const outgoing = request(url, { method: "POST", agent, signal: abort, headers: { ...headers, "content-length": body.length } }, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          chunks.push(chunk);
          if (size > longestAnswer) response.destroy(new Error(`the answer is longer than ${longestAnswer} bytes`));
        });
        response.on("end", () => resolve(answerOf(response, Buffer.concat(chunks))));
        response.on("error", fail);
      });
      outgoing.on("error", fail).end(body);
      return promise;
    },
    close: () => agent.destroy(),
  };
}

function answerOf({ statusCode = 0, headers }: http.IncomingMessage, body: Uint8Array): Answer {
  const isWebPage = headers["content-type"]?.startsWith("text/html") === true;
  if (statusCode >= 200 && statusCode < 300) {
    return isWebPage ? { isTaken: false, kind: "web page", text: "the answer is a web page, not that of an OTLP collector" } : { isTaken: true, body };
  }
  // Not the reason that the collector gives: that may be any text.
  const status = `HTTP ${statusCode} ${http.STATUS_CODES[statusCode] ?? ""}`.trim();
  return {
    isTaken: false,
    kind: `HTTP ${statusCode}`,
    text: isWebPage ? `${status}, with a web page: is this an OTLP collector?` : status,
    mayRetry: retryableStatuses.has(statusCode),
    retryAfter: retryAfterOf(headers["retry-after"]),
    isTooLarge: statusCode === 413,
  };
}

/** In milliseconds. What is no time to wait, a negative one included, is none. */
function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return wait > 0 ? wait : undefined;
}

function httpFailure(error: Error): Answer {
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code !== "string") return { isTaken: false, kind: error.name, text: messageOf(error) };
  const text = code.startsWith("HPE_") ? `${code}: the answer is not HTTP; is this port gRPC?` : code;
  return { isTaken: false, kind: code, text, mayRetry: retryableErrors.has(code) };
}

const services = { traces: "trace.v1.TraceService", metrics: "metrics.v1.MetricsService", logs: "logs.v1.LogsService" };
// CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
const retryableCodes: ReadonlySet<number> = new Set([1, 4, 8, 10, 11, 14, 15]);
const gzipOfGrpc = 2;

function grpcTransport(signal: Signal, settings: SignalSettings): Transport {
  const { Client, credentials, Metadata, status } = load("@grpc/grpc-js");
  const address = settings.endpoint.value;
  const { host, protocol } = new URL(address.includes("://") ? address : `${settings.insecure.value ? "http" : "https"}://${address}`);
  const { ca = null, key = null, cert = null } = protocol === "http:" ? {} : tlsFilesOf(signal, settings);
  const client = new Client(host, protocol === "http:" ? credentials.createInsecure() : credentials.createSsl(ca, key, cert), {
    "grpc.primary_user_agent": userAgent,
    ...(settings.compression.value === "gzip" ? { "grpc.default_compression_algorithm": gzipOfGrpc } : {}),
  });
  const metadata = new Metadata();
  for (const [name, { value }] of settings.headers) metadata.set(name, value);
  const path = `/opentelemetry.proto.collector.${services[signal]}/Export`;
  const asIs = (bytes: Buffer): Buffer => bytes;
  const failure = ({ code, details, message }: ServiceError): Answer => {
    const [errno] = /\bE[A-Z]{4,}\b/.exec(details) ?? [];
    const isNoGrpc = errno === undefined && /null|protocol error|connection dropped/i.test(details);
    const text = isNoGrpc ? `no gRPC server answers; is this port gRPC?` : (errno ?? (details === "" ? message : details));
    return { isTaken: false, kind: `gRPC ${code}`, text: `${status[code]}: ${text}`, mayRetry: retryableCodes.has(code), isTooLarge: /larger than max/i.test(details) };
  };
  return {
    send: async (body, abort) => {
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const call = client.makeUnaryRequest(path, asIs, asIs, Buffer.from(body), metadata, (error, answer) => {
        if (error === null) resolve({ isTaken: true, body: answer ?? new Uint8Array() });
        else resolve(abort.aborted ? timedOut : failure(error));
      });
      abort.addEventListener("abort", () => call.cancel(), { once: true });
      return promise;
    },
    close: () => client.close(),
  };
}
