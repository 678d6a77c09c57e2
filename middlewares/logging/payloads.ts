import type { Attributes } from "@opentelemetry/api";
import type { WorkItem } from "../../src/pipeline/index.ts";
import { isPromised } from "../../src/pipeline/thenable.ts";
import { resultNow } from "../../src/telemetry/isolate.ts";
import { isolated } from "./faults.ts";
import type { LoggingOptions, PayloadContext } from "./options.ts";
import { ATTR_TASK_INPUT, ATTR_TASK_OUTPUT } from "../../src/telemetry/semconv.ts";

/** The attribute with the input of a work item, as JSON; none unless the options ask for it (telemetry.md L3). */
export function inputAttribute(item: WorkItem, options: LoggingOptions): Attributes {
  if (options.include?.input !== true) return {};
  const input = redacted(() => item.rawInput, item, "input", options.redact);
  return input === undefined ? {} : { [ATTR_TASK_INPUT]: input };
}

/** The attribute with the output of a work item that completed, as JSON; none unless the options ask for it. */
export function outputAttribute(item: WorkItem, output: unknown, options: LoggingOptions): Attributes {
  if (options.include?.output !== true) return {};
  const json = redacted(() => jsonOf(output), item, "output", options.redact);
  return json === undefined ? {} : { [ATTR_TASK_OUTPUT]: json };
}

function jsonOf(output: unknown): string | undefined {
  // Its JSON is that of an empty object.
  if (isPromised(output)) throw new TypeError("middleware set a promise as the result");
  return JSON.stringify(output);
}

// After any fault the payload is omitted: a payload that could not be redacted must not be exported. `redact` gets a copy,
// because one that changes it must not change what the task returned (telemetry.md K1).
function redacted(
  payloadAsJson: () => string | undefined,
  { kind, name, version, instanceId, tags }: WorkItem,
  payload: PayloadContext["payload"],
  redact: LoggingOptions["redact"],
): string | undefined {
  return isolated.run("a payload is left out of the log", () => {
    const json = payloadAsJson();
    if (redact === undefined || json === undefined) return json;
    const value: unknown = JSON.parse(json);
    return JSON.stringify(resultNow(redact(value, { payload, kind, name, version, instanceId, tags }), "redact"));
  });
}
