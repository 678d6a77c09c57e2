/** A mark of a time scale. */
export interface TimeMark {
  /** Nanoseconds from the start of the trace. */
  readonly at: number;
  /** Such as `250 ms` or `1 h 30 m`. */
  readonly text: string;
}

/**
 * The marks of a time scale, at round times. The HTML page contains this function as text, to mark the part of a trace
 * that it shows: it uses nothing from outside of its body.
 *
 * @param from the start of the scale, in nanoseconds from the start of the trace.
 * @param to its end.
 * @param most how many marks there is room for.
 */
export function timeMarks(from: number, to: number, most: number): readonly TimeMark[] {
  const second = 1e9;
  // Above a second, clocks count by sixties.
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

  function roundStep(least: number): number {
    if (least > second && least <= 86_400 * second) {
      return second * (steps.find((step) => step * second >= least) ?? 86_400);
    }
    const unit = least > second ? 86_400 * second : 1;
    const power = 10 ** Math.floor(Math.log10(least / unit));
    return ([1, 2, 5, 10].find((each) => each * power * unit >= least * 0.999_999) ?? 10) * power * unit;
  }

  function textOf(time: number): string {
    if (time === 0) return "0";
    const seconds = time / second;
    const short = (value: number, unit: string): string => `${Number(value.toPrecision(9))} ${unit}`;
    if (seconds < 0.001) return short(seconds * 1e6, "µs");
    if (seconds < 1) return short(seconds * 1e3, "ms");
    if (seconds < 60) return short(seconds, "s");
    const parts: string[] = [];
    let rest = Math.round(seconds * 1e6) / 1e6;
    for (const [unit, size] of [
      ["d", 86_400],
      ["h", 3600],
      ["m", 60],
    ] as const) {
      const count = Math.floor(rest / size);
      rest -= count * size;
      if (count > 0) parts.push(`${count} ${unit}`);
    }
    if (rest > 0) parts.push(short(rest, "s"));
    return parts.join(" ");
  }

  if (!(to > from) || most < 1) return [{ at: from, text: textOf(from) }];
  const step = roundStep((to - from) / most);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const at = (first + index) * step;
    return { at, text: textOf(at) };
  });
}
