import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { type ClientRequest, request } from "node:http";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ExportRequests } from "../../src/otlp/export-requests.ts";
import { deadCollector, startHungCollector } from "./collectors.ts";

const shutDown = [expect.objectContaining({ message: "telemetry was shut down" })];
const refused = [expect.objectContaining({ code: "ECONNREFUSED" })];

function exportRequests(): ExportRequests {
  const requests = new ExportRequests();
  onTestFinished(() => requests.close());
  return requests;
}

/** Runs an export that makes its request when it is told to. */
function startExport(requests: ExportRequests, url: string) {
  const made: ClientRequest[] = [];
  let attempt = (): void => {};
  const ofExport = requests.run(() => {
    attempt = AsyncLocalStorage.bind(() => void made.push(request(url)));
  });
  return {
    ofExport,
    attempt: (): ClientRequest => {
      attempt();
      const last = made.at(-1);
      if (last === undefined) throw new Error("There was no request.");
      return last;
    },
  };
}

describe("K1 the requests of exports", () => {
  it("drop ends those that are open, of all exports, and leaves the others alone", async () => {
    await using collector = await startHungCollector();
    const requests = exportRequests();
    const open = [1, 2].map(() => once(startExport(requests, collector.url).attempt(), "error"));
    const others = request(await deadCollector());
    requests.drop();
    expect(await Promise.all([...open, once(others, "error")])).toEqual([shutDown, shutDown, refused]);
  });

  it("drop ends those that exports make later, and keeps nothing of those that have ended", async () => {
    const url = await deadCollector();
    const requests = exportRequests();
    const { attempt } = startExport(requests, url);
    const first = attempt();
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    first.on("error", () => {}).once("close", resolve);
    await closed;
    const destroy = vi.spyOn(first, "destroy");
    requests.drop();
    expect(destroy).not.toHaveBeenCalled();
    expect(await once(attempt(), "error")).toEqual(shutDown);
    expect(await once(startExport(requests, url).attempt(), "error")).toEqual(shutDown);
  });

  it("drop of one export ends its own, the later ones too", async () => {
    await using collector = await startHungCollector();
    const requests = exportRequests();
    const [own, other] = [startExport(requests, collector.url), startExport(requests, await deadCollector())];
    const errors = [own, other].map(({ attempt }) => once(attempt(), "error"));
    own.ofExport.drop();
    expect(await Promise.all([...errors, once(own.attempt(), "error")])).toEqual([shutDown, refused, shutDown]);
  });

  it("refuseMore ends the later ones only, and tells of them", async () => {
    const requests = exportRequests();
    const { ofExport, attempt } = startExport(requests, await deadCollector());
    const first = once(attempt(), "error");
    ofExport.refuseMore();
    expect(await first).toEqual(refused);
    expect(ofExport.gotRefused).toBe(false);
    expect(await once(attempt(), "error")).toEqual(shutDown);
    expect(ofExport.gotRefused).toBe(true);
  });
});
