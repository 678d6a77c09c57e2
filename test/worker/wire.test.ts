import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentOf, field, fieldsOf } from "../../src/worker/wire.ts";
import { text } from "./requests.ts";

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("Fields in the wire format", () => {
  it("I8 are read as the SDK writes them, and together they are the message", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        (name, input, taskId) => {
          const bytes = new pb.ActivityRequest()
            .setName(name)
            .setInput(text(input))
            .setTaskid(taskId)
            .serializeBinary();
          expect(Buffer.concat(fieldsOf(bytes).map((each) => each.bytes))).toEqual(Buffer.from(bytes));
          expect(Buffer.from(contentOf(bytes, 1) ?? []).toString()).toBe(Buffer.from(name).toString());
          expect(Buffer.from(contentOf(contentOf(bytes, 3), 1) ?? []).toString()).toBe(Buffer.from(input).toString());
          if (taskId > 0) expect(fieldsOf(bytes).find(({ number }) => number === 5)?.value).toBe(taskId);
        },
      ),
    );
  });

  it("I8 are written as the SDK reads them, also at the end of a message, where the last one wins", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (name) => {
        const bytes = new pb.ScheduleTaskAction().setName("other").setInput(text("1")).serializeBinary();
        const message = pb.ScheduleTaskAction.deserializeBinary(Buffer.concat([bytes, field(1, name)]));
        expect(message.getName()).toBe(Buffer.from(name).toString());
        expect(message.getInput()?.getValue()).toBe("1");
      }),
    );
  });

  it.each<[string, number[]]>([
    ["a number that does not end", [0x80]],
    ["a number of more than ten bytes", [8, ...Array.from({ length: 12 }, () => 0xff)]],
    ["a string that is longer than the message", [0x0a, 5, 1]],
    ["a fixed number that is cut off", [0x09, 1, 2]],
    ["a group", [0x0b]],
  ])("K1 a malformed message throws a RangeError: %s", (_, bytes) => {
    expect(() => fieldsOf(Uint8Array.from(bytes))).toThrow(RangeError);
  });

  it("K1 the ID of a task's execution that Dapr's workers send is a valid, empty trace context to a hub of the Durable Task protocol", () => {
    const bytes = Buffer.concat([
      new pb.ScheduleTaskAction().setName("charge").serializeBinary(),
      field(5, `27${traceparent}`),
    ]);
    const action = pb.ScheduleTaskAction.deserializeBinary(bytes);
    expect([action.getName(), action.getParenttracecontext()?.toObject()]).toEqual([
      "charge",
      { traceparent: "", spanid: "", tracestate: undefined },
    ]);
  });
});
