import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { trace } from "@opentelemetry/api";
import { type OtlpProtocol, setupOtlp } from "durable-telemetry/otlp";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Workspace } from "../docs/workspace.ts";

/** The program that makes certificates. Others of its name, and older ones, can't sign them in one go. */
const openssl = "openssl";
const isInstalled = /^OpenSSL ([3-9]|\d\d)/.test(spawnSync(openssl, ["version"], { encoding: "utf8" }).stdout ?? "");
const skip = !isInstalled && !process.env["CI"];
if (skip)
  console.warn(
    "OpenSSL 3 (openssl) is not in PATH: its tests are skipped. Debian and Ubuntu have it as the package `openssl`.",
  );

const workspace = new Workspace();
const file = (name: string): string => join(workspace.path, name);

/** Makes a certificate `NAME.pem` with its key `NAME.key`; where there is an `issuer`, that one signs it. */
function createCertificate(name: string, issuer?: string): void {
  const by = issuer === undefined ? [] : ["-CA", file(`${issuer}.pem`), "-CAkey", file(`${issuer}.key`)];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file(`${name}.key`)];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost"];
  execFileSync(openssl, ["req", "-x509", "-days", "1", ...key, ...names, ...by, "-out", file(`${name}.pem`)], {
    stdio: "pipe",
  });
}

beforeAll(() => {
  if (skip) return;
  createCertificate("authority");
  for (const name of ["server", "client"]) createCertificate(name, "authority");
});
afterAll(() => workspace[Symbol.dispose]());
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** A message is a byte that says whether it is compressed, four for its length, and none here for what is in it. */
const emptyGrpcMessage = Buffer.alloc(5);

/** A collector that notes for each connection whose certificate came with it. It talks HTTP 1 and 2. */
async function startTlsCollector(): Promise<
  AsyncDisposable & { readonly url: string; readonly clients: readonly unknown[] }
> {
  const clients: unknown[] = [];
  const read = (name: string): Buffer => readFileSync(file(name));
  const files = { key: read("server.key"), cert: read("server.pem"), ca: read("authority.pem") };
  const server = createSecureServer({ ...files, requestCert: true, rejectUnauthorized: true, allowHTTP1: true });
  server.on("secureConnection", (socket) => clients.push(socket.getPeerCertificate().subject.CN));
  server.on("request", (request, response) => {
    request.resume().on("end", () => {
      if (request.headers["content-type"] !== "application/grpc") {
        response.end("{}");
        return;
      }
      response.writeHead(200, { "content-type": "application/grpc" });
      response.addTrailers({ "grpc-status": "0" });
      response.end(emptyGrpcMessage);
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "localhost", resolve);
  await promise;
  const address = server.address();
  return {
    url: `https://localhost:${typeof address === "object" ? address?.port : ""}`,
    clients,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

describe.skipIf(skip).each<OtlpProtocol>(["http/json", "http/protobuf", "grpc"])("TLS over %s", (protocol) => {
  const files = (): Record<"certificate" | "clientCertificate" | "clientKey", string> => ({
    certificate: file("authority.pem"),
    clientCertificate: file("client.pem"),
    clientKey: file("client.key"),
  });

  it.each(["options", "variables"])(
    "%s name the authority to trust, and the certificate and key of the client",
    async (how) => {
      const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
      await using collector = await startTlsCollector();
      if (how === "variables") {
        vi.stubEnv("OTEL_EXPORTER_OTLP_CERTIFICATE", files().certificate);
        vi.stubEnv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", files().clientCertificate);
        vi.stubEnv("OTEL_EXPORTER_OTLP_CLIENT_KEY", files().clientKey);
      }
      // The scheme says more than `insecure` does, in any case.
      const endpoint = collector.url.replace("https:", "HTTPS:");
      const path = protocol === "grpc" ? "" : "/v1/traces";
      const options = {
        protocol,
        insecure: true,
        traces: { endpoint: endpoint + path },
        metrics: false,
        logs: false,
      } as const;
      const telemetry = setupOtlp(how === "options" ? { ...options, ...files() } : options);
      trace.getTracer("test").startSpan("span").end();
      await telemetry.shutdown();
      expect(warn.mock.calls).toEqual([]);
      expect(collector.clients).toEqual(["client"]);
    },
  );

  it("files that TLS can't use are reported, with the options that name them", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue(undefined);
    await using collector = await startTlsCollector();
    const wrong = { certificate: file("authority.pem"), clientKey: file("client.key") };
    const garbage = { clientCertificate: fileURLToPath(import.meta.url), clientKey: file("client.key") };
    for (const options of [wrong, garbage]) {
      const telemetry = setupOtlp({ protocol, endpoint: collector.url, metrics: false, logs: false, ...options });
      await telemetry.shutdown();
    }
    expect(warn.mock.calls).toEqual([
      [
        "durable-telemetry: traces are exported without the contents of code: certificate, code: clientKey (a client's certificate and key need each other)",
      ],
      [
        expect.stringMatching(
          /^durable-telemetry: traces are exported without the contents of code: clientCertificate, code: clientKey \(error:.+\)$/,
        ),
      ],
    ]);
  });
});
