import type { HrTime, TimeInput } from "@opentelemetry/api";

const nanosecondsOfSecond = 1e9;

/** @param milliseconds since the epoch, or a duration. */
export function hrTime(milliseconds: number): HrTime {
  return normal(Math.trunc(milliseconds / 1000), Math.round((milliseconds % 1000) * 1e6));
}

/** A time as programs give it; a number that is too small for one since the epoch is one of `performance.now()`. */
export function readTime(time: TimeInput): HrTime {
  if (time instanceof Date) return hrTime(time.getTime());
  if (typeof time !== "number") return time;
  return time <= performance.now() ? plus(hrTime(performance.timeOrigin), hrTime(time)) : hrTime(time);
}

export function isTime(value: unknown): value is TimeInput {
  const isPair = Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === "number");
  return isPair || typeof value === "number" || value instanceof Date;
}

export function plus(time: HrTime, duration: HrTime): HrTime {
  return normal(time[0] + duration[0], time[1] + duration[1]);
}

export function between(start: HrTime, end: HrTime): HrTime {
  return normal(end[0] - start[0], end[1] - start[1]);
}

function normal(seconds: number, nanoseconds: number): HrTime {
  const overflow = Math.floor(nanoseconds / nanosecondsOfSecond);
  return [seconds + overflow, nanoseconds - overflow * nanosecondsOfSecond];
}
