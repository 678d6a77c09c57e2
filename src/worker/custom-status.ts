import type { OrchestrationContext } from "@microsoft/durabletask-js";
import type { OrchestrationWorkItem } from "../pipeline/index.ts";
import { wrapMethod, type Members } from "./adapter.ts";

/** Tells `item` when the orchestration gets another custom status: its history does not have it, replay sets it again. */
export function observeCustomStatus(context: OrchestrationContext, item: OrchestrationWorkItem): void {
  if (item.onCustomStatus === undefined) return;
  wrapMethod<[unknown], void>(context, "setCustomStatus", (original) => (status) => {
    // What the SDK made of it: the JSON text.
    const before = (context as object as Members)["_customStatus"];
    original(status);
    if ((context as object as Members)["_customStatus"] !== before) item.onCustomStatus?.();
  });
}
