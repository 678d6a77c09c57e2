import {
  context as contextApi,
  isSpanContextValid,
  trace,
  type Attributes,
  type HrTime,
  type SpanContext,
} from "@opentelemetry/api";
import { copyAttributes, exceptionAttributes } from "./attributes.ts";
import type { EmittedLog } from "./emitted.ts";
import { currentRecording } from "./recording.ts";
import type { InstrumentationScope, RecordedResource } from "./recorded-span.ts";
import { scopeOf } from "./recording-tracers.ts";
import { resource } from "./resource.ts";
import { readTime } from "./time.ts";

/** A log record, as exporters get it. */
export interface RecordedLogRecord {
  /** When it happened: seconds since the epoch, and nanoseconds. */
  readonly hrTime: HrTime;
  /** When it was emitted. */
  readonly hrTimeObserved: HrTime;
  /** The span that it belongs to. */
  readonly spanContext?: SpanContext;
  /** An OpenTelemetry `SeverityNumber`: 1 to 24. */
  readonly severityNumber?: number;
  readonly severityText?: string;
  readonly body?: unknown;
  readonly eventName?: string;
  readonly attributes: Attributes;
  readonly resource: RecordedResource;
  readonly instrumentationScope: InstrumentationScope;
  /** A recorder has no limits: this is 0. */
  readonly droppedAttributesCount: number;
}

interface RecordingLogger {
  emit(record: EmittedLog): void;
  enabled(): boolean;
}

/** The provider whose loggers write to the recording of the moment. */
export const recordingLoggers: {
  getLogger(name: string, version?: string, options?: { schemaUrl?: string }): RecordingLogger;
} = {
  getLogger(...definition) {
    const [name, version, options] = definition;
    const scope = scopeOf(name, version, options);
    return {
      emit: (record) => currentRecording()?.emit(scope, record),
      enabled: () => currentRecording() !== undefined,
    };
  },
};

/** The record of what was emitted now. */
export function recordOf(instrumentationScope: InstrumentationScope, emitted: EmittedLog): RecordedLogRecord {
  const now = Date.now();
  const spanContext = trace.getSpanContext(emitted.context ?? contextApi.active());
  const { severityNumber, severityText, body, eventName } = emitted;
  return {
    hrTime: readTime(emitted.timestamp ?? now),
    hrTimeObserved: readTime(emitted.observedTimestamp ?? now),
    ...(spanContext === undefined || !isSpanContextValid(spanContext) ? {} : { spanContext }),
    ...(severityNumber === undefined ? {} : { severityNumber }),
    ...(severityText === undefined ? {} : { severityText }),
    ...(body === undefined ? {} : { body }),
    ...(eventName === undefined ? {} : { eventName }),
    attributes: { ...exceptionAttributes(emitted.exception), ...copyAttributes(emitted.attributes) },
    resource,
    instrumentationScope,
    droppedAttributesCount: 0,
  };
}
