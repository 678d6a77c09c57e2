import { EventEmitter } from "node:events";
import { context, createContextKey, type Context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { isTracingSuppressed } from "@opentelemetry/core";
import { describe, expect, it } from "vitest";
import { quietClient } from "../../src/worker/quiet-client.ts";

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const key = createContextKey("caller");
const caller = context.active().setValue(key, "caller");

/** A stub that notes in which contexts it is called. */
class Stub {
  readonly calls: Context[] = [];
  readonly name = "stub";
  readonly stream = new EventEmitter();

  hello(request: string, callback: (answer: string) => void): string {
    this.calls.push(context.active());
    callback(`${this.name} answers ${request}`);
    return "call";
  }

  getWorkItems(): EventEmitter {
    this.calls.push(context.active());
    return this.stream;
  }
}

function quiet(): { stub: Stub; client: { readonly stub: Stub; readonly address: string } } {
  const stub = new Stub();
  return { stub, client: quietClient({ stub, address: "here" }, "stub") as { stub: Stub; address: string } };
}

describe("A worker's client", () => {
  it("makes its calls with tracing suppressed, in the caller's context otherwise", () => {
    const { stub, client } = quiet();
    context.with(caller, () => {
      client.stub.hello("a", () => undefined);
      client.stub.getWorkItems();
    });
    expect(stub.calls.map((each) => [isTracingSuppressed(each), each.getValue(key)])).toEqual([
      [true, "caller"],
      [true, "caller"],
    ]);
  });

  it("hands arguments, results and answers through, and keeps what else it has", () => {
    const { client } = quiet();
    const answers: string[] = [];
    expect(client.stub.hello("a", (answer) => answers.push(answer))).toBe("call");
    expect(answers).toEqual(["stub answers a"]);
    expect([client.stub.name, client.address]).toEqual(["stub", "here"]);
  });

  it("what the worker does with an answer or a work item is traced, as in the caller's context", () => {
    const { stub, client } = quiet();
    const seen: unknown[] = [];
    const note = (): void => void seen.push([isTracingSuppressed(context.active()), context.active().getValue(key)]);
    context.with(caller, () => {
      client.stub.hello("a", note);
      client.stub.getWorkItems().on("data", note);
    });
    stub.stream.emit("data");
    expect(seen).toEqual([
      [false, "caller"],
      [false, "caller"],
    ]);
  });

  it("that has no stub stays as it is", () => {
    const client = {};
    expect(quietClient(client, "stub")).toBe(client);
  });
});
