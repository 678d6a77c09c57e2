import { SpanStatusCode, type Span, type TimeInput } from "@opentelemetry/api";
import type { TaskFailure } from "../../src/pipeline/index.ts";
import { ATTR_ERROR_TYPE } from "./semconv.ts";

/** Marks `span` as failed (telemetry.md S3). */
export function setFailure(span: Span, failure: TaskFailure): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
  span.setAttribute(ATTR_ERROR_TYPE, failure.type);
}

/** Adds the exception's details as a span event, for viewers that read only that, unless the user wants them in logs alone (S3). */
export function addExceptionEvent(span: Span, failure: TaskFailure, time: TimeInput): void {
  if (process.env["OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"] === "logs") return;
  span.addEvent(
    "exception",
    {
      "exception.type": failure.type,
      "exception.message": failure.message,
      ...(failure.stack === undefined ? {} : { "exception.stacktrace": failure.stack }),
    },
    time,
  );
}
