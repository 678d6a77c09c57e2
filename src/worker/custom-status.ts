import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { Episode } from "../pipeline/index.ts";
import { wrapMethod } from "./members.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

/** Reports to `item` each change of the custom status: history does not record it, and replay sets it again. */
export function observeCustomStatus(context: OrchestrationContext, item: Episode): void {
  wrapMethod<[unknown], void>(context, "setCustomStatus", (original) => (status) => {
    // The SDK keeps it as JSON.
    const before = readInternal(context, orchestrationContextInternals.customStatus);
    original(status);
    const now = readInternal(context, orchestrationContextInternals.customStatus);
    if (now !== before) item.customStatusChanged(typeof now === "string" ? now : undefined);
  });
}
