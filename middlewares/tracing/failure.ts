import { SpanStatusCode, type Span, type TimeInput } from "@opentelemetry/api";
import type { TaskFailure } from "../../src/pipeline/index.ts";
import { messageWithCauses, rootCause, stackWithCauses } from "../../src/telemetry/failure-causes.ts";
import { recordedString } from "../../src/telemetry/recorded-string.ts";
import { spanValueLimit } from "../../src/telemetry/value-limits.ts";
import { cutAttributes } from "./attributes.ts";
import { ATTR_ERROR_TYPE, ATTR_RECORDED_ERROR_TYPE } from "../../src/telemetry/semconv.ts";

/** Marks the span of a task as failed (telemetry.md S3); the status says why, with the causes (S11). */
export function setFailure(span: Span, failure: TaskFailure): void {
  setStatus(span, failure);
  span.setAttributes(cutAttributes({ [ATTR_ERROR_TYPE]: failure.type }));
}

/**
 * Marks an orchestration's span as failed. Its error is most often that of a task that it did not catch, so `error.type`
 * is the type of the root cause, and the type that the SDK records has an attribute of its own (S11).
 */
export function setOrchestrationFailure(span: Span, failure: TaskFailure): void {
  setStatus(span, failure);
  span.setAttributes(
    cutAttributes({ [ATTR_ERROR_TYPE]: rootCause(failure).type, [ATTR_RECORDED_ERROR_TYPE]: failure.type }),
  );
}

function setStatus(span: Span, failure: TaskFailure): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: recordedString(messageWithCauses(failure), spanValueLimit()) });
}

/**
 * Adds the exception's details, with its causes, as a span event, for viewers that read only that, unless the user wants
 * them in logs alone (S3).
 */
export function addExceptionEvent(span: Span, failure: TaskFailure, time: TimeInput): void {
  if (process.env["OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"] === "logs") return;
  const stack = stackWithCauses(failure);
  const details = {
    "exception.type": failure.type,
    "exception.message": failure.message,
    ...(stack === undefined ? {} : { "exception.stacktrace": stack }),
  };
  span.addEvent("exception", cutAttributes(details), time);
}
