/**
 * Writes a duration for people: three significant digits below a minute (`312 µs`, `4.21 ms`, `3.42 s`), the two
 * largest units above it (`2 m 05 s`, `3 h 07 m`, `2 d 03 h`).
 *
 * @param nanoseconds the duration; a negative one keeps its sign.
 *
 * @example
 * ```ts
 * formatDuration(3_420_000_000n); // "3.42 s"
 * ```
 */
export function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds < 0n) return `-${formatDuration(-nanoseconds)}`;
  if (nanoseconds === 0n) return "0";
  for (const { unit, size } of decimalUnits) {
    const digits = threeDigits(Number(nanoseconds) / size);
    // Judged after rounding, so that 999.9 ms is "1.00 s" and never "1000 ms".
    if (Number(digits) < (unit === "s" ? 60 : 1000)) return `${digits} ${unit}`;
  }
  const seconds = (nanoseconds + 500_000_000n) / 1_000_000_000n;
  if (seconds < 3600n) return `${seconds / 60n} m ${twoDigits(seconds % 60n)} s`;
  const minutes = (seconds + 30n) / 60n;
  if (minutes < 1440n) return `${minutes / 60n} h ${twoDigits(minutes % 60n)} m`;
  const hours = (minutes + 30n) / 60n;
  return `${hours / 24n} d ${twoDigits(hours % 24n)} h`;
}

const decimalUnits = [
  { unit: "µs", size: 1e3 },
  { unit: "ms", size: 1e6 },
  { unit: "s", size: 1e9 },
] as const;

function threeDigits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  if (value < 99.95) return value.toFixed(1);
  return value.toFixed(0);
}

const twoDigits = (value: bigint): string => value.toString().padStart(2, "0");
