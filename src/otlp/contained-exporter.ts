import type { ExportResult, ExportResultCode } from "@opentelemetry/core";
import { ExportRequests, type RequestsOfExport } from "./export-requests.ts";
import { longestTimeout } from "./value-kinds.ts";

/** What the SDK's exporters of spans, metrics and log records have in common. */
export interface Exporter<TItems> {
  export(items: TItems, done: (result: ExportResult) => void): void;
  forceFlush?(): Promise<void>;
  shutdown(): Promise<void>;
}

/** An exporter that gives up after a time, with all its attempts. */
export interface TimedExporter<TExporter> {
  readonly exporter: TExporter;
  /** In milliseconds. */
  readonly timeout: number;
}

/** What a {@link ContainedExporter} is made of. */
export interface ContainedExporterOptions<TItems> {
  /** Sends the items. */
  readonly usual: TimedExporter<Exporter<TItems>>;
  /** Sends the last ones: the same, but it gives up in time for `shutdown()` to tell why. */
  readonly last: TimedExporter<Exporter<TItems>>;
  /** Is told of every export that failed. */
  readonly onFailure: (error: unknown) => void;
}

// The SDK's own constants would load it.
const success: ExportResultCode.SUCCESS = 0;
const failed: ExportResultCode.FAILED = 1;

// An exporter that keeps to its time knows the cause of a failure better, so it may be a little late.
const grace = 1.05;

/** Keeps a collector's troubles away from the program (telemetry.md K1), for any signal. */
export class ContainedExporter<TItems> implements Exporter<TItems> {
  readonly #exporters: readonly Exporter<TItems>[];
  readonly #last: TimedExporter<Exporter<TItems>>;
  readonly #onFailure: (error: unknown) => void;
  readonly #requests = new ExportRequests();
  readonly #underWay = new Set<(within: number) => void>();
  readonly #usual: TimedExporter<Exporter<TItems>>;
  #current: TimedExporter<Exporter<TItems>>;
  #deadline = Number.POSITIVE_INFINITY;
  #isAbandoned = false;

  constructor({ usual, last, onFailure }: ContainedExporterOptions<TItems>) {
    this.#exporters = [usual.exporter, last.exporter];
    this.#usual = usual;
    this.#current = usual;
    this.#last = last;
    this.#onFailure = onFailure;
  }

  /**
   * Every export ends, in time, and as a success for the processor or reader: that can do nothing about a failure but
   * write the whole error, stack and all, to the log for each batch, and the failure is reported already.
   */
  export(items: TItems, done: (result: ExportResult) => void): void {
    const { exporter, timeout } = this.#current;
    let timer: NodeJS.Timeout | undefined;
    let hasEnded = false;
    let requests: RequestsOfExport | undefined;
    const end = ({ code, error }: ExportResult): void => {
      if (hasEnded) return;
      hasEnded = true;
      clearTimeout(timer);
      this.#underWay.delete(hurry);
      if (code !== success && requests?.gotRefused === true) {
        // Its next attempt is the last exporter's.
        this.export(items, done);
        return;
      }
      if (code !== success) this.#fail(error);
      else if (requests?.gotWebPage) this.#fail(new Error("the answer is a web page, not that of an OTLP collector"));
      done({ code: success });
    };
    const fail = (error: unknown): void => end({ code: failed, error: asError(error) });
    const expire = (): void => {
      fail(new Error("Request timed out"));
      requests?.drop();
    };
    const endWithin = (within: number): void => {
      clearTimeout(timer);
      timer = setTimeout(expire, Math.min(within * grace, longestTimeout)).unref();
    };
    const hurry = (within: number): void => {
      endWithin(within);
      if (exporter !== this.#last.exporter) requests?.refuseMore();
    };

    this.#underWay.add(hurry);
    endWithin(Math.min(timeout, this.#deadline - performance.now()));
    try {
      requests = this.#requests.run(() => exporter.export(items, end));
    } catch (error) {
      fail(error);
    }
  }

  /**
   * Gives each export `within` milliseconds at most, and sends what comes from now on through the last exporter, further
   * attempts of the exports under way included.
   */
  hurry(within: number): void {
    const timeout = Math.min(within, this.#last.timeout);
    this.#current = { exporter: this.#last.exporter, timeout };
    for (const hurry of this.#underWay) hurry(timeout);
  }

  /** The same for the last time: however late an export starts, it ends `within` milliseconds from now. */
  hurryLast(within: number): void {
    this.#deadline = performance.now() + within;
    this.hurry(within);
  }

  /** Takes {@link hurry} back: the program goes on. */
  relax(): void {
    this.#current = this.#usual;
  }

  /** Waits for the exports under way. */
  async forceFlush(): Promise<void> {
    await Promise.all(this.#exporters.map((exporter) => exporter.forceFlush?.() ?? Promise.resolve()));
  }

  /** Waits for the exports under way and closes the connections. */
  async shutdown(): Promise<void> {
    await Promise.all(this.#exporters.map((exporter) => exporter.shutdown()));
  }

  /** Drops the exports that are still under way, without a word. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#requests.drop();
    const close = (): void => this.#requests.close();
    this.forceFlush().then(close, close);
  }

  #fail(error: unknown): void {
    if (!this.#isAbandoned) this.#onFailure(error);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
