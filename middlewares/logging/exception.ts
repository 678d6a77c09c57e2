import type { Attributes } from "@opentelemetry/api";
import type { TaskFailure } from "../../src/pipeline/index.ts";
import { stackWithCauses } from "../../src/telemetry/failure-causes.ts";
import { ATTR_EXCEPTION_MESSAGE, ATTR_EXCEPTION_STACKTRACE, ATTR_EXCEPTION_TYPE } from "../../src/telemetry/semconv.ts";

/** The attributes of an exception; its causes are in the stack trace. */
export function exceptionAttributes(failure: TaskFailure): Attributes {
  const stack = stackWithCauses(failure);
  return {
    [ATTR_EXCEPTION_TYPE]: failure.type,
    [ATTR_EXCEPTION_MESSAGE]: failure.message,
    ...(stack === undefined ? {} : { [ATTR_EXCEPTION_STACKTRACE]: stack }),
  };
}
