import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it, vi } from "vitest";
import { startLocalSidecar } from "../../src/testing/sidecar/index.ts";
import { sidecars } from "./sidecar-fixture.ts";
import { act } from "./sidecar-raw.ts";

const hub = sidecars();
const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const listening = once(server, "listening").then(
    () => true,
    () => false,
  );
  server.listen(port, "127.0.0.1");
  const free = await listening;
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

describe("options", () => {
  it("that are unknown or of a wrong type throw a TypeError that names the key and what is allowed", async () => {
    const wrong: [object, string][] = [
      [{ prot: 1 }, "startLocalSidecar has no option 'prot'. Its options are: port, host, traceContext."],
      [{ port: "4001" }, "The option 'port' of startLocalSidecar must be an integer from 0 to 65535."],
      [{ port: 65_536 }, "The option 'port' of startLocalSidecar must be an integer from 0 to 65535."],
      [{ port: 1.5 }, "The option 'port' of startLocalSidecar must be an integer from 0 to 65535."],
      [{ host: "" }, "The option 'host' of startLocalSidecar must be a host name or IP address."],
      [{ host: 127 }, "The option 'host' of startLocalSidecar must be a host name or IP address."],
      [{ traceContext: true }, `The option 'traceContext' of startLocalSidecar must be "carry" or "drop".`],
    ];
    for (const [options, message] of wrong)
      await expect(startLocalSidecar(options)).rejects.toThrow(new TypeError(message));
  });

  it("can be left out: the sidecar takes a free port of 127.0.0.1", async () => {
    const sidecar = await hub.start({});
    expect(sidecar.port).toBeGreaterThan(0);
    expect(sidecar.address).toBe(`127.0.0.1:${sidecar.port}`);
    expect(await canListen(sidecar.port)).toBe(false);
  });

  it("choose the host, by name too", async () => {
    const sidecar = await hub.start({ host: "localhost" });
    expect(sidecar.address).toBe(`localhost:${sidecar.port}`);
    expect(await hub.rawClient(sidecar).start("main")).not.toBe("");
  });

  it("that name a port in use reject with an error that says so, and nothing is written to the console", async () => {
    const written = vi.spyOn(process.stderr, "write");
    const logged = vi.spyOn(console, "error");
    const { port } = await hub.start();
    await expect(startLocalSidecar({ port })).rejects.toMatchObject({
      message: `The local sidecar can't listen on 127.0.0.1:${port}: the port is in use, and port 0 takes any that is free.`,
      cause: { code: "EADDRINUSE" },
    });
    expect([...written.mock.calls, ...logged.mock.calls]).toEqual([]);
    vi.restoreAllMocks();
  });
});

describe("closing", () => {
  it("ends open waits and the workers' streams with UNAVAILABLE, and frees the port", async () => {
    const sidecar = await startLocalSidecar();
    const worker = await hub.rawWorker(sidecar);
    const id = await worker.start("main");
    await worker.answer(await worker.episode(), [act.schedule(1, "work"), act.timer(2, new Date("2999-01-01"))]);
    await worker.activity();
    const request = new pb.GetInstanceRequest().setInstanceid(id);
    const wait = worker.call((stub, done) => stub.waitForInstanceCompletion(request, done));
    // The sidecar answers this call after it has taken the wait.
    const waiting = worker.state(id);
    const closed = { code: grpc.status.UNAVAILABLE, details: "The local sidecar has been closed." };
    const ended = once(worker.stream, "error");
    await waiting;
    const rejected = expect(wait).rejects.toMatchObject(closed);
    await sidecar.close();
    await rejected;
    expect(await ended).toMatchObject([closed]);
    expect(await canListen(sidecar.port)).toBe(true);
  });

  it("can be done again, and lets a new sidecar take the port", async () => {
    const sidecar = await startLocalSidecar();
    const { port } = sidecar;
    expect(sidecar.close()).toBe(sidecar.close());
    await sidecar.close();
    const successor = await hub.start({ port });
    expect(successor.port).toBe(port);
    // It forgot everything.
    const client = hub.rawClient(successor);
    expect(await client.state("any")).toBeUndefined();
  });

  it("comes with the end of an `await using` block", async () => {
    let port: number;
    {
      await using sidecar = await startLocalSidecar();
      ({ port } = sidecar);
    }
    expect(await canListen(port)).toBe(true);
  });

  it("does not wait for a worker that hangs", async () => {
    const sidecar = await startLocalSidecar();
    const child = spawn(process.execPath, [script("sidecar-child-worker.ts"), sidecar.address, "activity"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await hub.rawClient(sidecar).start("main");
      await once(child.stdout, "data");
      child.kill("SIGSTOP");
      await sidecar.close();
      expect(await canListen(sidecar.port)).toBe(true);
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("leaves nothing that keeps Node running, and the sidecar has written nothing", async () => {
    const child = spawn(process.execPath, [script("sidecar-child-program.ts")], { stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr, [code]] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      once(child, "exit"),
    ]);
    expect({ stdout, stderr, code }).toEqual({ stdout: "", stderr: "", code: 0 });
  });
});
