/** Prometheus 3, which Debian does not have: it receives OTLP, and knows names with dots. */
import { buildOrSkip } from "../go-programs.ts";

export interface Prometheus3 {
  /** The paths of the programs. */
  readonly prometheus: string;
  readonly promtool: string;
}

/** Its programs, if they were built before or `ENGINES=1` is set. */
export function prometheus3(): Prometheus3 | undefined {
  const prometheus = buildOrSkip("prometheus");
  const promtool = prometheus === undefined ? undefined : buildOrSkip("promtool");
  return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool };
}
