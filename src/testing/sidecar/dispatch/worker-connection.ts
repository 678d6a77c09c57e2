import type pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import { subjectOf, type Work } from "../hub/work.ts";

type Kind = Work["kind"];

interface Filter {
  getName(): string;
  getVersionsList(): string[];
}

/** A connected worker: what it takes, how much of it, and how to send it. */
export class WorkerConnection {
  readonly send: (item: pb.WorkItem) => void;
  readonly #filters: Record<Kind, readonly Filter[]> | undefined;
  readonly #limits: Record<Kind, number>;
  readonly #inFlight: Record<Kind, number> = { orchestration: 0, activity: 0, entity: 0 };

  constructor(request: pb.GetWorkItemsRequest, send: (item: pb.WorkItem) => void) {
    this.send = send;
    const filters = request.getWorkitemfilters();
    // Filters name all that the worker takes: a kind that has none is not taken.
    this.#filters = filters && {
      orchestration: filters.getOrchestrationsList(),
      activity: filters.getActivitiesList(),
      // They name no versions: an entity has none.
      entity: filters.getEntitiesList().map((filter) => ({
        getName: () => filter.getName(),
        getVersionsList: () => [],
      })),
    };
    this.#limits = {
      orchestration: limit(request.getMaxconcurrentorchestrationworkitems()),
      activity: limit(request.getMaxconcurrentactivityworkitems()),
      entity: limit(request.getMaxconcurrententityworkitems()),
    };
  }

  /** Whether it takes such work, and has room for it now. */
  accepts(work: Work): boolean {
    if (this.#inFlight[work.kind] >= this.#limits[work.kind]) return false;
    if (this.#filters === undefined) return true;
    const { name, version } = subjectOf(work);
    return this.#filters[work.kind].some((filter) => {
      const versions = filter.getVersionsList();
      return filter.getName() === name && (versions.length === 0 || versions.includes(version));
    });
  }

  began(work: Work): void {
    this.#inFlight[work.kind]++;
  }

  ended(work: Work): void {
    this.#inFlight[work.kind]--;
  }
}

/** The SDK's worker sends zero: it sets no limit. */
function limit(most: number): number {
  return most > 0 ? most : Infinity;
}
