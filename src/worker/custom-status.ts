import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { Episode } from "../pipeline/index.ts";
import { wrapMethod } from "./members.ts";
import { orchestrationContextInternals, readInternal } from "./sdk-internals.ts";

/** Reports to `item` when the orchestration gets another custom status: its history does not have it, and replay sets it again. */
export function observeCustomStatus(context: OrchestrationContext, item: Episode): void {
  wrapMethod<[unknown], void>(context, "setCustomStatus", (original) => (status) => {
    // What the SDK made of it: the JSON text.
    const before = readInternal(context, orchestrationContextInternals.customStatus);
    original(status);
    if (readInternal(context, orchestrationContextInternals.customStatus) !== before) item.customStatusChanged();
  });
}
