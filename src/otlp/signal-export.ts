import type { OtlpExporters } from "./collector.ts";
import { chooseCollector } from "./collector.ts";
import { ContainedExporter, type Exporter } from "./contained-exporter.ts";
import type { FailureReport } from "./failure-report.ts";
import type { Signal, SignalSettings } from "./settings.ts";
import { longestTimeout } from "./value-kinds.ts";

/** The way that a signal takes out of the process. */
export interface SignalExport {
  /** Delivers what there is. Never rejects. */
  forceFlush(): Promise<void>;
  /** Has exports end within `timeout` milliseconds, early enough to tell the cause of a failure. */
  hurry(timeout: number): void;
  /** Takes {@link hurry} back. */
  relax(): void;
  /** Delivers what there is for the last time, within `timeout` milliseconds. Never rejects. */
  flushLast(timeout: number): Promise<void>;
  /** Drops what is still under way, and says so if that is why it is lost. */
  endShutdown(): void;
  /** Drops what is still under way. */
  abandon(): void;
}

/** What a {@link SignalExport} is made of. */
export interface SignalExportOptions {
  readonly report: FailureReport;
  /** Sends to the collector, if anything does. */
  readonly exporter: Pick<ContainedExporter<unknown>, "hurry" | "hurryLast" | "relax" | "abandon"> | undefined;
  /** Hand on what they have gathered. */
  readonly flushes: readonly (() => Promise<void>)[];
  /** The same for the last time; by default `flushes`. */
  readonly lastFlushes?: readonly (() => Promise<void>)[];
}

// A tenth of the time is left to tell the cause of a failure.
const forExports = 0.9;

export function createSignalExport({ report, exporter, flushes, lastFlushes = flushes }: SignalExportOptions): SignalExport {
  let failuresBefore = 0;
  let isFlushed = false;
  let time = 0;
  const abandon = (): void => exporter?.abandon();
  return {
    forceFlush: () => allSettled(flushes),
    hurry: (timeout) => exporter?.hurry(timeout * forExports),
    relax: () => exporter?.relax(),
    flushLast: async (timeout) => {
      failuresBefore = report.failures;
      time = timeout;
      exporter?.hurryLast(timeout * forExports);
      await allSettled(lastFlushes);
      isFlushed = true;
    },
    endShutdown: () => {
      // If exports failed while shutting down, the report of that tells more.
      if (!isFlushed && report.failures === failuresBefore) report.shutdownTimedOut(time);
      abandon();
    },
    abandon,
  };
}

/** What a batch processor or a metric reader exports through. */
export interface OtlpExport<TExporter, TItems> {
  /** The SDK's exporter, for what it knows beside exporting. */
  readonly exporter: TExporter;
  readonly contained: ContainedExporter<TItems>;
  /** Milliseconds after which an export has ended for sure. */
  readonly timeout: number;
}

/** Makes the exporter of a signal to its OTLP collector. `longest` is how long an export may take at most, in milliseconds. */
export function createOtlpExport<TExporter extends Exporter<TItems>, TItems>(
  signal: Signal,
  settings: SignalSettings,
  exporters: OtlpExporters<TExporter>,
  { report, shutdownTimeout, longest = Number.POSITIVE_INFINITY }: { report: FailureReport; shutdownTimeout: number; longest?: number },
): OtlpExport<TExporter, TItems> {
  const collector = chooseCollector(signal, settings, exporters);
  // The processors' own time limit is kept here: there it would only stop waiting, not stop the export, and it would
  // write a stack trace for each.
  const timeout = Math.min(settings.timeout.value, settings.exportTimeout.value, longest);
  const usual = collector.createExporter(timeout);
  const contained = new ContainedExporter<TItems>({
    usual,
    last: collector.createExporter(Math.min(timeout, shutdownTimeout * forExports)),
    onFailure: (error) => report.exportFailed(collector.target, error, collector.secrets),
  });
  return { exporter: usual.exporter, contained, timeout: Math.min(timeout * 2, longestTimeout) };
}

async function allSettled(flushes: readonly (() => Promise<void>)[]): Promise<void> {
  await Promise.allSettled(flushes.map(async (flush) => flush()));
}
