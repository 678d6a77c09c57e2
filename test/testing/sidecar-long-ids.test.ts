import { expect, it } from "vitest";
import { startHub } from "../harness.ts";

it("a task hub says why it refuses an instance ID, however long that is", async () => {
  const hub = await startHub();
  const schedule = hub.client.scheduleNewOrchestration("main", undefined, { instanceId: "i".repeat(2 ** 18) });
  await expect(schedule).rejects.toThrow(/INVALID_ARGUMENT: The instance ID 'i+/);
});
