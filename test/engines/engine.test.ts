import { describe, expect, it } from "vitest";
import { buildEngine, startEngine } from "./engine.ts";

describe.skipIf(!buildEngine("durabletask-go"))("An engine", () => {
  it("that ends at its start is an error with what it printed", async () => {
    const starting = startEngine("durabletask-go", {
      postgres: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1",
    });
    await expect(starting).rejects.toThrow(
      /^durabletask-go ended at its start \(2\): [^]*failed to initialize the database/,
    );
  });

  it("that is killed is gone, and stopping it again does nothing", async () => {
    const engine = await startEngine("durabletask-go");
    await engine.kill();
    await engine.stop();
    const [host, port] = engine.address.split(":");
    await expect(fetch(`http://${host}:${port}`)).rejects.toThrow("fetch failed");
  });
});
