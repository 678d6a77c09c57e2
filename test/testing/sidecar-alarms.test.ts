import { afterEach, beforeEach, expect, it, vi } from "vitest";
import timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";
import { Alarms } from "../../src/testing/sidecar/hub/alarms.ts";
import { dueTime } from "../../src/testing/sidecar/hub/time-range.ts";

const DAY_MS = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

it("An alarm months away rings when it is due, and once", () => {
  const ring = vi.fn();
  new Alarms().set({}, 90 * DAY_MS, ring);
  vi.advanceTimersByTime(90 * DAY_MS - 1);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  vi.advanceTimersByTime(90 * DAY_MS);
  expect(ring).toHaveBeenCalledTimes(1);
});

it("An alarm whose timeout comes early by the wall clock goes on waiting", () => {
  const ring = vi.fn();
  new Alarms().set({}, 1_000, ring);
  vi.setSystemTime(-500);
  vi.advanceTimersByTime(1_499);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
});

it("An alarm that was due in the past rings soon, but not within the call that sets it", () => {
  const ring = vi.fn();
  new Alarms().set({}, -5_000, ring);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
});

it("Clearing an owner's alarms stops those, also the ones far away, and no others", () => {
  const alarms = new Alarms();
  const [mine, other] = [{}, {}];
  const [cleared, kept] = [vi.fn(), vi.fn()];
  alarms.set(mine, 1_000, cleared);
  alarms.set(mine, 90 * DAY_MS, cleared);
  alarms.set(other, 1_000, kept);
  // The far one has been armed anew by now.
  vi.advanceTimersByTime(30 * DAY_MS);
  expect([cleared.mock.calls.length, kept.mock.calls.length]).toEqual([1, 1]);
  alarms.clear(mine);
  vi.advanceTimersByTime(90 * DAY_MS);
  expect(cleared).toHaveBeenCalledTimes(1);
  alarms.set(mine, 0, cleared);
  alarms.set(other, 0, kept);
  alarms.clearAll();
  expect(vi.getTimerCount()).toBe(0);
});

it("What is due within a millisecond is due at its end, and never before its time", () => {
  const at = (nanos: number): timestamps.Timestamp => new timestamps.Timestamp().setSeconds(7).setNanos(nanos);
  expect([0, 1, 123_000_000, 123_000_001].map((nanos) => dueTime(at(nanos)))).toEqual([7000, 7001, 7123, 7124]);
});
