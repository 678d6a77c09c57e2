import {
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  type Attributes,
  type LogRecord,
  type Meter,
  type MetricOptions,
} from "@opentelemetry/api";
import { TracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace";
import { useProviders, type Providers } from "./providers.ts";

type Scope = readonly [name: string, version: string | undefined];

/** The OpenTelemetry API calls that record what a run of the default pipeline recorded. */
export interface Floor {
  readonly spans: number;
  readonly logRecords: number;
  readonly measurements: number;
  /** Makes the calls `count` times. */
  readonly run: (count: number) => void;
}

/**
 * The floor of what telemetry costs: runs `work`, keeps what it records, and replays that with plain OpenTelemetry calls.
 * Names, attributes and times are at hand then, so that the floor is OpenTelemetry's own cost alone.
 *
 * @param providers those that the replayed calls record with.
 */
export async function floorOf(work: () => Promise<void>, providers: Required<Providers>): Promise<Floor> {
  const spans: ReadableSpan[] = [];
  const logRecords: { scope: Scope; record: LogRecord }[] = [];
  const measurements: Measurement[] = [];
  const processor = {
    onStart: () => undefined,
    onEnd: (span: ReadableSpan) => void spans.push(span),
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
  useProviders({
    tracers: new TracerProvider({ spanProcessors: [processor] }),
    loggers: {
      getLogger: (name, version) => ({
        enabled: () => true,
        emit: (record) => void logRecords.push({ scope: [name, version], record }),
      }),
    },
    meters: {
      getMeter: (name, version) =>
        recordingMeter(
          (instrument, value, attributes) =>
            void measurements.push({ scope: [name, version], instrument, value, attributes }),
        ),
    },
  });
  await work();
  useProviders(undefined);

  const calls = [
    ...spans.map((span) => spanCall(span, providers)),
    ...logRecords.map(({ scope, record }) => logCall(scope, record, providers)),
    ...measurements.map((measurement) => measurementCall(measurement, providers)),
  ];
  return {
    spans: spans.length,
    logRecords: logRecords.length,
    measurements: measurements.length,
    run: (count) => {
      for (let each = 0; each < count; each += 1) for (const call of calls) call();
    },
  };
}

function spanCall(
  {
    name,
    kind,
    attributes,
    links,
    startTime,
    endTime,
    events,
    status,
    parentSpanContext: parent,
    instrumentationScope: scope,
  }: ReadableSpan,
  { tracers }: Required<Providers>,
): () => void {
  const tracer = tracers.getTracer(scope.name, scope.version);
  return () => {
    const span = tracer.startSpan(
      name,
      { kind, attributes, links, startTime },
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    );
    for (const event of events) span.addEvent(event.name, event.attributes, event.time);
    if (status.code !== SpanStatusCode.UNSET) span.setStatus(status);
    span.end(endTime);
  };
}

function logCall(scope: Scope, record: LogRecord, { loggers }: Required<Providers>): () => void {
  const logger = loggers.getLogger(...scope);
  return () => logger.emit(record);
}

/** An instrument as it was created. */
interface Instrument {
  readonly create: "createCounter" | "createUpDownCounter" | "createHistogram";
  readonly name: string;
  readonly options: MetricOptions | undefined;
}

interface Measurement {
  readonly scope: Scope;
  readonly instrument: Instrument;
  readonly value: number;
  readonly attributes: Attributes | undefined;
}

function measurementCall(
  { scope, instrument: { create, name, options }, value, attributes }: Measurement,
  { meters }: Required<Providers>,
): () => void {
  // The provider keeps one state for equal instruments.
  const meter = meters.getMeter(...scope);
  if (create === "createHistogram") {
    const histogram = meter.createHistogram(name, options);
    return () => histogram.record(value, attributes);
  }
  const counter = meter[create](name, options);
  return () => counter.add(value, attributes);
}

/** A meter whose instruments hand on what they measure; of the kinds that this package uses. */
function recordingMeter(
  measured: (instrument: Instrument, value: number, attributes: Attributes | undefined) => void,
): Meter {
  const recording = (create: Instrument["create"]) => (name: string, options?: MetricOptions) => {
    const record = (value: number, attributes?: Attributes): void =>
      measured({ create, name, options }, value, attributes);
    return { add: record, record };
  };
  const meter: Pick<Meter, Instrument["create"]> = {
    createCounter: recording("createCounter"),
    createUpDownCounter: recording("createUpDownCounter"),
    createHistogram: recording("createHistogram"),
  };
  return meter as Meter;
}
