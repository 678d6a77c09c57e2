import type timestamps from "google-protobuf/google/protobuf/timestamp_pb.js";

export type TimeBound = timestamps.Timestamp | undefined;

/** Whether a time is between two bounds, each included. One that is left out does not restrict it. */
export function within(time: Date | undefined, from: TimeBound, to: TimeBound): boolean {
  if (from === undefined && to === undefined) return true;
  if (time === undefined) return false;
  return (from === undefined || from.toDate() <= time) && (to === undefined || time <= to.toDate());
}

/** When something that is due at a time is due, in whole milliseconds since 1970, and not before that time. */
export function dueTime(time: timestamps.Timestamp): number {
  return Math.ceil(time.getSeconds() * 1000 + time.getNanos() / 1e6);
}

/** The time of a scheduled start, if it is in the future: the SDK's client sends 1970 to start now. */
export function futureStart(time: TimeBound): Date | undefined {
  const start = time?.toDate();
  return start !== undefined && start.getTime() > Date.now() ? start : undefined;
}
