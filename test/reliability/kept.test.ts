import { expect, it } from "vitest";
import { runProgram } from "../otlp/program.ts";
import { startReceiver } from "../otlp/receiver.ts";

it("K4 connections to a collector and timers keep nothing of the work items in which they were opened", async () => {
  await using receiver = await startReceiver();
  const { stdout } = await runProgram("../../reliability/fixtures/kept-worker", {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "1", OTEL_BLRP_SCHEDULE_DELAY: "1" },
    nodeArgs: ["--expose-gc"],
  });
  expect(JSON.parse(stdout)).toEqual({ kept: 0, of: 20 });
  expect(receiver.spans.filter(({ name }) => name === "orchestration:ends")).toHaveLength(20);
});
