import { isSpanContextValid, SpanKind, SpanStatusCode, trace, type Span } from "@opentelemetry/api";
import { activeContext, runIn } from "../telemetry/active-context.ts";
import { formatTraceContext } from "../telemetry/identity.ts";
import { Isolation } from "../telemetry/isolate.ts";
import * as semconv from "../telemetry/semconv.ts";
import { version } from "../version.ts";
import { wrapMethod, type Members } from "./members.ts";
import { daprClientInternals, grpcWorkerInternals, readInternal } from "./sdk-internals.ts";
import { field } from "./wire.ts";

/**
 * The clients of Dapr Workflow, `DaprWorkflowClient` of `@dapr/dapr` and `TaskHubGrpcClient` of `@dapr/durabletask-js`. The
 * Durable Task SDK's client makes a span when it schedules an orchestration, and sends its context along; these do neither.
 */

/** The numbers of the fields that the SDK's classes lack. */
const traceContextOfCreateInstance = 9;
const traceparentOfTraceContext = 1;
const tracestateOfTraceContext = 3;
const valueOfStringValue = 1;

const isolation = new Isolation("tracing");

/** Whether `object` is such a client. The Durable Task SDK's own has a logger of its own, and makes its spans itself. */
export function isClient(object: object): boolean {
  return (
    daprClientInternals.inner.name in object ||
    (daprClientInternals.schedule.name in object && !(grpcWorkerInternals.logger.name in object))
  );
}

/** The client that has the connection: `client`, or the one inside it. */
export function clientIn(client: object): object {
  const inner = readInternal(client, daprClientInternals.inner);
  return typeof inner === "object" && inner !== null ? inner : client;
}

/**
 * Has `client` make a span for each orchestration that it schedules, and send its context along.
 *
 * @throws Error if it lacks a member.
 */
export function attachToClient(client: object): void {
  const stub = readInternal(client, daprClientInternals.stub);
  if (
    typeof stub !== "object" ||
    stub === null ||
    typeof readInternal(stub, daprClientInternals.start) !== "function"
  ) {
    throw new Error(
      `withDurableTelemetry: this client lacks ${daprClientInternals.stub.name}.${daprClientInternals.start.name}, which its spans need. ` +
        "Install @dapr/dapr >=3.18.0 <4 or @dapr/durabletask-js >=1.0.0 <2.",
    );
  }
  wrapMethod<[CreateInstanceRequest, ...unknown[]], unknown>(
    stub,
    daprClientInternals.start.name,
    (start) =>
      (request, ...rest) => {
        const span = isolation.run("a span was lost", () => startSpan(request));
        if (span === undefined) return start(request, ...rest);
        isolation.run("a trace context was lost", () => send(request, span));
        const observed = rest.map((each) => (typeof each === "function" ? ending(span, each as Callback) : each));
        return runIn(trace.setSpan(activeContext(), span), () => start(request, ...observed));
      },
  );
}

/** What is used of the message, which every release of the protocol has. */
interface CreateInstanceRequest {
  getName(): string;
  getInstanceid(): string;
  serializeBinary(): Uint8Array;
}

function startSpan(request: CreateInstanceRequest): Span {
  const name = request.getName();
  const attributes = {
    [semconv.ATTR_TYPE]: semconv.TYPE_ORCHESTRATION,
    [semconv.ATTR_TASK_NAME]: name,
    [semconv.ATTR_TASK_INSTANCE_ID]: request.getInstanceid(),
  };
  const tracer = trace.getTracer(semconv.SCOPE_NAME, version);
  return tracer.startSpan(
    semconv.spanName(semconv.TYPE_CREATE_ORCHESTRATION, name, undefined),
    { kind: SpanKind.PRODUCER, attributes },
    activeContext(),
  );
}

// Decoders take a field wherever it stands: at the end of the bytes too.
function send(request: CreateInstanceRequest, span: Span): void {
  const own = span.spanContext();
  if (!isSpanContextValid(own)) return;
  const { traceparent, tracestate } = formatTraceContext(own);
  const state =
    tracestate === undefined ? [] : [field(tracestateOfTraceContext, field(valueOfStringValue, tracestate))];
  const context = field(
    traceContextOfCreateInstance,
    Buffer.concat([field(traceparentOfTraceContext, traceparent), ...state]),
  );
  wrapMethod<[], Uint8Array>(request, "serializeBinary", (serialize) => () => Buffer.concat([serialize(), context]));
}

type Callback = (error: unknown, ...results: unknown[]) => void;

function ending(span: Span, callback: Callback): Callback {
  return (error, ...results) => {
    isolation.run("a span was lost", () => {
      if (error !== null && error !== undefined) {
        const { code, message } = error as Members;
        span.setAttribute(semconv.ATTR_ERROR_TYPE, typeof code === "number" ? String(code) : "_OTHER");
        span.setStatus({ code: SpanStatusCode.ERROR, message: typeof message === "string" ? message : "" });
      }
      span.end();
    });
    callback(error, ...results);
  };
}
