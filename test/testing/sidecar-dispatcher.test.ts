import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { describe, expect, it } from "vitest";
import { Dispatcher } from "../../src/testing/sidecar/dispatch/dispatcher.ts";
import { WorkerConnection } from "../../src/testing/sidecar/dispatch/worker-connection.ts";
import type { Work } from "../../src/testing/sidecar/hub/work.ts";

const aWork = (): Work => ({ kind: "activity" }) as Work;

describe("The dispatcher of the local sidecar", () => {
  it("asks about each work that no worker takes once when it comes, not with every other one", () => {
    let asked = 0;
    class Busy extends WorkerConnection {
      override accepts(): boolean {
        asked += 1;
        return false;
      }
    }
    const dispatcher = new Dispatcher(() => new pb.WorkItem());
    dispatcher.connect(new Busy(new pb.GetWorkItemsRequest(), () => {}));
    for (let count = 0; count < 1000; count += 1) dispatcher.enqueue(aWork());
    expect(asked).toBe(1000);
  });

  it("hands 150,000 running works of a worker that disconnects to another one, in their order", () => {
    const begun: Work[] = [];
    const dispatcher = new Dispatcher((work) => {
      begun.push(work);
      return new pb.WorkItem();
    });
    const connect = (): WorkerConnection => {
      const worker = new WorkerConnection(new pb.GetWorkItemsRequest(), () => {});
      dispatcher.connect(worker);
      return worker;
    };
    const first = connect();
    const works = Array.from({ length: 150_000 }, aWork);
    for (const work of works) dispatcher.enqueue(work);
    dispatcher.disconnect(first);
    begun.length = 0;
    connect();
    expect(begun.length).toBe(works.length);
    expect(begun.every((work, index) => work === works[index])).toBe(true);
  });
});
