import { connect, createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import type { ActivityContext, OrchestrationContext } from "@microsoft/durabletask-js";
import { beforeAll, describe, expect, expectTypeOf, it, onTestFinished } from "vitest";
import {
  ActivitySpan,
  createMiddlewareFeature,
  currentFeatures,
  MiddlewareFeatures,
  OrchestrationSpan,
  runWithFeatures,
  type ActivityMiddleware,
  type MiddlewareContext,
  type MiddlewareFunction,
  type OrchestrationMiddleware,
} from "../../src/index.ts";
import { recordSpans, resultOf, startHub, type Hub, type Steps } from "../harness.ts";
import { inMemoryHub } from "../registration/in-memory.ts";
import { firstEpisode, hostWorker, resultIn } from "./requests.ts";
import { customOnly } from "../custom-only.ts";

const Tenant = createMiddlewareFeature<string>("tenant");

// Workers of one hub share its work: a hub for each test that needs one.
let meetingHub: Hub;
let wireHub: Hub;
let currentHub: Hub;
beforeAll(async () => {
  [meetingHub, wireHub, currentHub] = await Promise.all([startHub(), startHub(), startHub()]);
});

/** Sets `Tenant` to what `value` says, around everything. */
const setTenant =
  (value: (ctx: MiddlewareContext) => string): MiddlewareFunction =>
  async (ctx, next) => {
    ctx.features.set(Tenant, value(ctx));
    await next(ctx);
  };

describe("A collection of features", () => {
  it("F1 has typed keys: get, set, has and delete", () => {
    const Count = createMiddlewareFeature<number>("count");
    const features = new MiddlewareFeatures();
    expect([features.get(Count), features.has(Count), features.delete(Count)]).toEqual([undefined, false, false]);
    expect(features.set(Count, 1).set(Tenant, "acme")).toBe(features);
    expectTypeOf(features.get(Count)).toEqualTypeOf<number | undefined>();
    expect([features.get(Count), features.get(Tenant), features.has(Count)]).toEqual([1, "acme", true]);
    expect(features.set(Count, 2).get(Count)).toBe(2);
    expect([features.delete(Count), features.get(Count), features.has(Count)]).toEqual([true, undefined, false]);
    expect(features.get(Tenant)).toBe("acme");
  });

  it("F1 undefined is a value like any other", () => {
    const Maybe = createMiddlewareFeature<undefined>("maybe");
    const features = new MiddlewareFeatures().set(Maybe, undefined);
    expect([features.has(Maybe), features.delete(Maybe), features.has(Maybe)]).toEqual([true, true, false]);
  });

  it("F1 two keys with the same description are different features", () => {
    const other = createMiddlewareFeature<string>("tenant");
    const features = new MiddlewareFeatures().set(Tenant, "acme");
    expect(features.get(other)).toBeUndefined();
    expect([Tenant.description, String(Tenant.key)]).toEqual(["tenant", "Symbol(tenant)"]);
    expect(Object.isFrozen(Tenant)).toBe(true);
  });

  it.each([undefined, null, "", 5, {}])("F1 a key needs a description: %j is refused", (description) => {
    expect(() => Reflect.apply(createMiddlewareFeature, undefined, [description])).toThrow(
      new TypeError('createMiddlewareFeature: description must be a non-empty string, such as "tenant".'),
    );
  });

  it("F2 a copy starts with the values, and later changes do not travel either way", () => {
    const original = new MiddlewareFeatures().set(Tenant, "first");
    const copy = new MiddlewareFeatures(original);
    expect(copy.get(Tenant)).toBe("first");
    original.set(Tenant, "second");
    expect(copy.get(Tenant)).toBe("first");
    copy.delete(Tenant);
    expect(original.get(Tenant)).toBe("second");
  });
});

describe("The features of a work item", () => {
  it("F2 concurrent orchestrations and activities never see each other's", async () => {
    const count = 12;
    const mixed: string[] = [];
    const entered = new Set<string>();
    const all = Promise.withResolvers<void>();
    const check = (who: string): void => {
      const seen = currentFeatures()?.get(Tenant);
      if (seen !== who) mixed.push(`${who} saw ${seen}`);
    };
    await meetingHub.worker({ ...customOnly, use: [setTenant((ctx) => ctx.instanceId)] }, (worker) => {
      // All are in the activity at once.
      worker.addNamedActivity("meet", async (_: ActivityContext, who: string) => {
        check(who);
        if (entered.add(who).size === count) all.resolve();
        await all.promise;
        check(who);
      });
      worker.addNamedOrchestrator("meeting", async function* (ctx: OrchestrationContext): Steps {
        check(ctx.instanceId);
        yield ctx.callActivity("meet", ctx.instanceId);
        return check(ctx.instanceId);
      });
    });
    const ids = Array.from({ length: count }, (_, index) => `f2-${index}`);
    await Promise.all(ids.map((instanceId) => meetingHub.run("meeting", undefined, { instanceId })));
    expect(mixed).toEqual([]);
    expect(entered.size).toBe(count);
  });

  it("F2 two episodes of an orchestration, and an orchestration and its activity, never see each other's", async () => {
    const found: unknown[] = [];
    const collections = new Set<MiddlewareFeatures>();
    const memory = inMemoryHub();
    const look: MiddlewareFunction = async (ctx, next) => {
      found.push(ctx.features.get(Tenant));
      collections.add(ctx.features);
      ctx.features.set(Tenant, ctx.kind);
      await next(ctx);
    };
    memory.worker.use(look);
    memory.worker.addNamedActivity("nothing", () => undefined);
    memory.worker.addNamedOrchestrator("two episodes", async function* (ctx: OrchestrationContext): Steps {
      return yield ctx.callActivity("nothing");
    });
    await memory.run("two episodes");
    expect(found).toEqual([undefined, undefined, undefined]);
    expect(collections.size).toBe(3);
  });

  it("F2 all middleware of a work item, and its task code, share one collection", async () => {
    const collections = new Set<unknown>();
    const outer: MiddlewareFunction = async (ctx, next) => {
      collections.add(ctx.features);
      ctx.features.set(Tenant, "of the outer");
      await next(ctx);
      collections.add(ctx.features);
    };
    const inner: OrchestrationMiddleware = async function* (ctx, next) {
      collections.add(ctx.features);
      expect(ctx.features.get(Tenant)).toBe("of the outer");
      yield* next(ctx);
    };
    const worker = hostWorker({ use: [outer] }).useOrchestrationMiddleware(inner);
    worker.addNamedOrchestrator("plain", () => {
      collections.add(currentFeatures());
      return currentFeatures()?.get(Tenant);
    });
    expect(resultIn(await firstEpisode(worker, { name: "plain" }))).toBe("of the outer");
    expect(collections.size).toBe(1);
  });

  it("F3 never reach a byte that leaves the worker", async () => {
    const secret = "feature-that-must-not-leave";
    const sent: Buffer[] = [];
    const wire = createServer((socket) => {
      const upstream = connect(wireHub.sidecar.port, "127.0.0.1");
      socket.on("data", (chunk: Buffer) => sent.push(chunk));
      socket.pipe(upstream).pipe(socket);
      for (const end of [socket, upstream]) end.on("error", () => socket.destroy());
    });
    await once(wire.listen(0, "127.0.0.1"), "listening");
    onTestFinished(() => void wire.close());
    const { port } = wire.address() as AddressInfo;
    await wireHub.worker(
      { use: [setTenant(() => secret)] },
      (worker) => {
        worker.addNamedActivity("leave", () => ({ features: currentFeatures(), text: "left-from-activity" }));
        worker.addNamedActivity("fail", () => {
          throw Object.assign(new Error("failed-in-activity"), { features: currentFeatures() });
        });
        worker.addNamedOrchestrator("leaving", async function* (ctx: OrchestrationContext): Steps {
          ctx.setCustomStatus({ features: currentFeatures(), text: "left-in-status" });
          const result: unknown = yield ctx.callActivity("leave", { features: currentFeatures() });
          try {
            yield ctx.callActivity("fail");
          } catch (error) {
            return { result, error, features: currentFeatures(), text: "left-from-orchestration" };
          }
          return "not reached";
        });
      },
      { hostAddress: `127.0.0.1:${port}` },
    );
    await wireHub.run("leaving");
    const bytes = Buffer.concat(sent).toString("latin1");
    for (const known of ["left-from-activity", "left-in-status", "left-from-orchestration", "failed-in-activity"]) {
      expect(bytes).toContain(known);
    }
    expect(bytes).not.toContain(secret);
  });

  it("F3 never reach JSON.stringify of the collection, of a context, or of what holds one", async () => {
    const secret = "feature-that-must-not-be-written";
    const texts: (string | undefined)[] = [];
    const writing: MiddlewareFunction = async (ctx, next) => {
      const take = (): number =>
        texts.push(JSON.stringify(ctx.features), JSON.stringify(ctx), JSON.stringify({ ctx, list: [ctx.features] }));
      ctx.features.set(Tenant, secret);
      take();
      await next(ctx);
      take();
    };
    const memory = inMemoryHub({ use: [writing] });
    memory.worker.addNamedActivity("nothing", () => undefined);
    memory.worker.addNamedOrchestrator("calls", async function* (ctx: OrchestrationContext): Steps {
      yield ctx.callActivity("nothing");
      return "done";
    });
    expect(resultOf(await memory.run("calls"))).toBe("done");
    // The activity writes twice; the first episode once, the second twice.
    expect(texts).toHaveLength(15);
    expect(texts.filter((text) => text?.includes(secret))).toEqual([]);
  });

  it("F5 the built-in tracing leaves its handles there, for custom middleware and task code", async () => {
    recordSpans();
    const found: [string, unknown][] = [];
    const look: MiddlewareFunction = async (ctx, next) => {
      const { features } = ctx;
      found.push([
        ctx.kind,
        ctx.kind === "orchestration" ? features.get(OrchestrationSpan) : features.get(ActivitySpan),
      ]);
      await next(ctx);
    };
    const memory = inMemoryHub({ tracing: true, use: [look] });
    memory.worker.addNamedActivity("look", () => void found.push(["activity", currentFeatures()?.get(ActivitySpan)]));
    memory.worker.addNamedOrchestrator("looks", async function* (ctx: OrchestrationContext): Steps {
      found.push(["orchestration", currentFeatures()?.get(OrchestrationSpan)]);
      return yield ctx.callActivity("look");
    });
    await memory.run("looks");
    const [first, second] = found;
    expect(found.map(([kind]) => kind)).toEqual([
      "orchestration",
      "orchestration",
      "activity",
      "activity",
      "orchestration",
      "orchestration",
    ]);
    expect(found.every(([, handle]) => handle !== undefined)).toBe(true);
    expect(second?.[1]).toBe(first?.[1]);
  });
});

describe("The features that a host attaches", () => {
  const attached = (value: string): MiddlewareFeatures => new MiddlewareFeatures().set(Tenant, value);
  const tenantHere = (): unknown => currentFeatures()?.get(Tenant);
  const plainWorker = (): ReturnType<typeof hostWorker> => {
    const worker = hostWorker({
      use: [
        async function pass(ctx: MiddlewareContext, next: (ctx: MiddlewareContext) => Promise<unknown>) {
          await next(ctx);
        },
      ],
    });
    worker.addNamedOrchestrator("tenant", tenantHere);
    return worker;
  };

  it("F4 every work item that starts inside runWithFeatures sees them, and none outside does", async () => {
    const worker = plainWorker();
    const run = async (): Promise<unknown> => resultIn(await firstEpisode(worker, { name: "tenant" }));
    const [acme, globex, none] = await Promise.all([
      runWithFeatures(attached("acme"), run),
      runWithFeatures(attached("globex"), async () => {
        await Promise.resolve();
        return run();
      }),
      run(),
    ]);
    expect([acme, globex, none]).toEqual(["acme", "globex", undefined]);
  });

  it("F4 the innermost runWithFeatures counts", async () => {
    const worker = plainWorker();
    const inside = (): Promise<unknown> =>
      runWithFeatures(attached("inner"), async () => resultIn(await firstEpisode(worker, { name: "tenant" })));
    expect(await runWithFeatures(attached("outer"), inside)).toBe("inner");
  });

  it("F4 each work item gets a copy: what middleware sets reaches neither the host nor the next work item", async () => {
    const before: unknown[] = [];
    const replace: MiddlewareFunction = async (ctx, next) => {
      before.push(ctx.features.get(Tenant));
      ctx.features.set(Tenant, "replaced");
      await next(ctx);
    };
    const worker = hostWorker({ use: [replace] });
    worker.addNamedOrchestrator("tenant", tenantHere);
    const features = attached("host");
    await runWithFeatures(features, async () => {
      await firstEpisode(worker, { name: "tenant" });
      await firstEpisode(worker, { name: "tenant" });
    });
    expect(before).toEqual(["host", "host"]);
    expect(features.get(Tenant)).toBe("host");
  });

  it("F4 activities see them too: around the in-memory worker's processActivity", async () => {
    const seen: unknown[] = [];
    const look: ActivityMiddleware = async (ctx, next) => {
      seen.push(ctx.features.get(Tenant));
      await next(ctx);
    };
    const memory = inMemoryHub();
    memory.worker.useActivityMiddleware(look);
    memory.worker.addNamedActivity("tenant", () => void seen.push(tenantHere()));
    const task = { instanceId: "i", name: "tenant", taskId: 1, completionToken: 1 };
    const processActivity = (): unknown =>
      Reflect.apply(Reflect.get(memory.worker, "processActivity"), memory.worker, [task]);
    await runWithFeatures(attached("acme"), processActivity);
    await processActivity();
    expect(seen).toEqual(["acme", "acme", undefined, undefined]);
  });

  it("F4 a worker that is started inside hands them to all of its work", async () => {
    const memory = inMemoryHub({ use: [setTenant((ctx) => `${ctx.features.get(Tenant)}!`)] });
    memory.worker.addNamedOrchestrator("tenant", tenantHere);
    await runWithFeatures(attached("started"), () => memory.worker.start());
    expect(resultOf(await memory.run("tenant"))).toBe("started!");
  });

  it("F4 runWithFeatures returns what the function returns, and throws what it throws", () => {
    const mine = new Error("mine");
    expect(runWithFeatures(attached("a"), () => 42)).toBe(42);
    expect(() =>
      runWithFeatures(attached("a"), () => {
        throw mine;
      }),
    ).toThrow(mine);
  });

  it.each<[string, unknown[], string]>([
    ["nothing", [], "features must be a MiddlewareFeatures"],
    ["null", [null, () => 1], "features must be a MiddlewareFeatures"],
    ["a plain object", [{ tenant: "acme" }, () => 1], "features must be a MiddlewareFeatures"],
    ["a Map", [new Map(), () => 1], "features must be a MiddlewareFeatures"],
    ["no function", [new MiddlewareFeatures()], "fn must be a function"],
    ["a promise for a function", [new MiddlewareFeatures(), Promise.resolve()], "fn must be a function"],
  ])("F4 runWithFeatures refuses %s", (_, args, message) => {
    expect(() => Reflect.apply(runWithFeatures, undefined, args)).toThrow(TypeError);
    expect(() => Reflect.apply(runWithFeatures, undefined, args)).toThrow(`runWithFeatures: ${message}`);
  });
});

describe("The current features", () => {
  it("F6 reach orchestrators, activities, the functions they call, and code after awaits and yields", async () => {
    const nested = async (): Promise<unknown> => {
      await Promise.resolve();
      return currentFeatures()?.get(Tenant);
    };
    await currentHub.worker({ ...customOnly, use: [setTenant((ctx) => `${ctx.kind} ${ctx.name}`)] }, (worker) => {
      worker.addNamedActivity("f6 activity", async () => {
        const here = currentFeatures()?.get(Tenant);
        await new Promise((resolve) => setImmediate(resolve));
        return [here, currentFeatures()?.get(Tenant), await nested()];
      });
      worker.addNamedOrchestrator("f6 child", async () => [currentFeatures()?.get(Tenant), await nested()]);
      worker.addNamedOrchestrator("f6", async function* (ctx: OrchestrationContext): Steps {
        const before = [currentFeatures()?.get(Tenant), await nested()];
        const activity: unknown = yield ctx.callActivity("f6 activity");
        const between = currentFeatures()?.get(Tenant);
        const child: unknown = yield ctx.callSubOrchestrator("f6 child");
        return { before, activity, between, child, after: [currentFeatures()?.get(Tenant), await nested()] };
      });
    });
    const [orchestration, activity, child] = ["orchestration f6", "activity f6 activity", "orchestration f6 child"];
    expect(resultOf(await currentHub.run("f6"))).toEqual({
      before: [orchestration, orchestration],
      activity: [activity, activity, activity],
      between: orchestration,
      child: [child, child],
      after: [orchestration, orchestration],
    });
  });

  it("F6 are undefined outside of a work item, also inside runWithFeatures and after a work item", async () => {
    const worker = hostWorker({ use: [setTenant(() => "inside")] });
    worker.addNamedOrchestrator("plain", () => undefined);
    expect(currentFeatures()).toBeUndefined();
    await runWithFeatures(new MiddlewareFeatures(), async () => {
      expect(currentFeatures()).toBeUndefined();
      await firstEpisode(worker, { name: "plain" });
      expect(currentFeatures()).toBeUndefined();
    });
    expect(currentFeatures()).toBeUndefined();
  });

  it("F6 are undefined in the work of a worker without middleware, which runs as if the package were not there", async () => {
    const worker = hostWorker();
    worker.addNamedOrchestrator("plain", () => currentFeatures() === undefined);
    expect(resultIn(await firstEpisode(worker, { name: "plain" }))).toBe(true);
  });

  it("F6 are there for task code where only the other kind of task has middleware", async () => {
    const memory = inMemoryHub();
    memory.worker.useActivityMiddleware(async (ctx, next) => void (await next(ctx)));
    memory.worker.addNamedOrchestrator("plain", () => currentFeatures() instanceof MiddlewareFeatures);
    expect(resultOf(await memory.run("plain"))).toBe(true);
  });
});
