import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import { ExportRequests } from "./export-requests.ts";

/** What a {@link ContainedSpanExporter} is made of. */
export interface ContainedSpanExporterOptions {
  /** Sends the spans. */
  readonly exporter: SpanExporter;
  /** Sends the last spans: the same, but it gives up in time for `shutdown()` to tell why. */
  readonly lastExporter: SpanExporter;
  /** Is told of every export that failed. */
  readonly onFailure: (error: unknown) => void;
}

/** Keeps a collector's troubles away from the program (telemetry.md K1). */
export class ContainedSpanExporter implements SpanExporter {
  readonly #exporters: readonly [usual: SpanExporter, last: SpanExporter];
  readonly #onFailure: (error: unknown) => void;
  readonly #requests = new ExportRequests();
  #current: SpanExporter;

  constructor(options: ContainedSpanExporterOptions) {
    this.#exporters = [options.exporter, options.lastExporter];
    this.#current = options.exporter;
    this.#onFailure = options.onFailure;
  }

  /**
   * Every export ends as a success for the span processor: it can do nothing about a failure but write the whole
   * error, stack and all, to the log for each batch, and the failure is reported already.
   */
  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const end = (result: ExportResult): void => {
      if (result.code !== ExportResultCode.SUCCESS) this.#onFailure(result.error);
      done({ code: ExportResultCode.SUCCESS });
    };
    try {
      this.#requests.run(() => this.#current.export(spans, end));
    } catch (error) {
      this.#onFailure(error);
      done({ code: ExportResultCode.SUCCESS });
    }
  }

  /** Sends what comes from now on through the last exporter. */
  beginShutdown(): void {
    this.#current = this.#exporters[1];
  }

  /** Waits for the exports under way. */
  async forceFlush(): Promise<void> {
    await Promise.all(this.#exporters.map((exporter) => exporter.forceFlush?.() ?? Promise.resolve()));
  }

  /** Waits for the exports under way and closes the connections. */
  async shutdown(): Promise<void> {
    await Promise.all(this.#exporters.map((exporter) => exporter.shutdown()));
  }

  /** Drops the exports that are still under way. */
  abandon(): void {
    this.#requests.drop();
    const close = (): void => this.#requests.close();
    this.forceFlush().then(close, close);
  }
}
