import type { Attributes } from "@opentelemetry/api";
import type { WorkItem } from "../../src/pipeline/index.ts";
import { resultNow } from "../../src/telemetry/isolate.ts";
import { isolated } from "./faults.ts";
import type { LoggingOptions, PayloadContext } from "./options.ts";
import { ATTR_TASK_INPUT, ATTR_TASK_OUTPUT } from "../../src/telemetry/semconv.ts";

/** The attribute with the input of a work item, as JSON; none unless the options ask for it (telemetry.md L3). */
export function inputAttribute(item: WorkItem, options: LoggingOptions): Attributes {
  const { rawInput } = item;
  if (options.include?.input !== true || rawInput === undefined) return {};
  const input =
    options.redact === undefined ? rawInput : redacted(() => JSON.parse(rawInput), item, "input", options.redact);
  return input === undefined ? {} : { [ATTR_TASK_INPUT]: input };
}

/** The attribute with the output of a work item that completed, as JSON; none unless the options ask for it. */
export function outputAttribute(item: WorkItem, output: unknown, options: LoggingOptions): Attributes {
  if (options.include?.output !== true || output === undefined) return {};
  const json = redacted(() => output, item, "output", options.redact ?? ((value) => value));
  return json === undefined ? {} : { [ATTR_TASK_OUTPUT]: json };
}

// After any fault the payload is omitted: a payload that could not be redacted must not be exported.
function redacted(
  value: () => unknown,
  { kind, name, version, instanceId, tags }: WorkItem,
  payload: PayloadContext["payload"],
  redact: NonNullable<LoggingOptions["redact"]>,
): string | undefined {
  return isolated.run("a payload is left out of the log", () => {
    return JSON.stringify(resultNow(redact(value(), { payload, kind, name, version, instanceId, tags }), "redact"));
  });
}
