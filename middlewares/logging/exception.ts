import type { Attributes } from "@opentelemetry/api";
import type { TaskFailure } from "../../src/pipeline/index.ts";
import { stackWithCauses } from "../../src/telemetry/failure-causes.ts";
import * as semconv from "./semconv.ts";

/** The attributes of an exception; its causes are in the stack trace. */
export function exceptionAttributes(failure: TaskFailure): Attributes {
  const stack = stackWithCauses(failure);
  return {
    [semconv.ATTR_EXCEPTION_TYPE]: failure.type,
    [semconv.ATTR_EXCEPTION_MESSAGE]: failure.message,
    ...(stack === undefined ? {} : { [semconv.ATTR_EXCEPTION_STACKTRACE]: stack }),
  };
}
