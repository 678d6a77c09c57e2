/** A service without workflows: answers a card's first two charges with 503. It ends well when its input ends. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { setupOtlp } from "../../src/otlp/index.ts";

const telemetry = setupOtlp({ serviceName: "card-network" });
const tracer = trace.getTracer("card-network");
const charges = new Map<string, number>();

const server = createServer(({ url = "", headers }, response) => {
  const caller = propagation.extract(ROOT_CONTEXT, headers);
  const span = tracer.startSpan("POST /charge", { kind: SpanKind.SERVER }, caller);
  const charge = (charges.get(url) ?? 0) + 1;
  charges.set(url, charge);
  response.statusCode = charge < 3 ? 503 : 200;
  if (charge < 3) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
  response.end();
}).listen(0, "127.0.0.1");
await once(server, "listening");
process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
process.stdin.on("end", () => {
  server.closeAllConnections();
  server.close();
  void telemetry.shutdown();
});
process.stdin.resume();
