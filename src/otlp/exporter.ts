import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { ISerializer } from "@opentelemetry/otlp-transformer";
import type { Deadline } from "../ending/deadline.ts";
import { type LossReport, messageOf } from "./diagnostics.ts";
import { load } from "./packages.ts";
import type { Signal, SignalSettings } from "./settings.ts";
import { type Answer, grpcTransport, httpTransport, timedOut, type Transport } from "./transport.ts";
import { showAddress } from "./values.ts";

/** The parts that the signals of a set-up share. */
export interface Shared {
  readonly deadline: Deadline;
  readonly report: LossReport;
  /** Settles when the resource is detected. */
  readonly ready: Promise<void> | undefined;
  /** Closed when telemetry ends: each gives up what has not been exported, and reports it. */
  readonly closing: { close(): void }[];
}

/** How an {@link OtlpExporter} handles the items of a signal. */
export interface Items<TItems> {
  readonly signal: Signal;
  /** The name of one item in a line. */
  readonly name: string;
  readonly serializer: ISerializer<TItems, { partialSuccess?: object }>;
  readonly count: (items: TItems) => number;
  /** Splits more than one item into two parts of about the same size. */
  readonly halves: (items: TItems) => readonly [TItems, TItems];
}

type Failure = Exclude<Answer, { state: "taken" }>;

// The default limit of collectors, over HTTP and gRPC.
const largestRequest = 4 * 2 ** 20;
const firstPause = 1000;
const longestPause = 5000;

/**
 * Sends a signal to its collector: in requests that are not larger than collectors accept, with retries within the timeout,
 * and with a report of everything that does not arrive. It never rejects or throws (telemetry.md K1).
 */
export class OtlpExporter<TItems> {
  readonly #items: Items<TItems>;
  readonly #transport: Transport;
  readonly #shared: Shared;
  readonly #timeout: number;
  readonly #target: string;
  readonly #secrets: readonly string[];

  /** @param most the limit of one export in milliseconds, if that is less than the settings have. */
  constructor(items: Items<TItems>, settings: SignalSettings, shared: Shared, most: number = Number.POSITIVE_INFINITY) {
    this.#items = items;
    this.#transport = settings.protocol === "grpc" ? grpcTransport(items.signal, settings) : httpTransport(settings);
    this.#shared = shared;
    this.#timeout = Math.min(settings.timeout, settings.exportTimeout, most);
    this.#target = showAddress(settings.endpoint);
    // The parts too, such as the token after `Bearer`.
    this.#secrets = Object.values(settings.headers)
      .flatMap((value) => [value, ...value.split(/\s+/)])
      .filter((part) => part.length > 3);
  }

  /** Sends the items. */
  async export(items: TItems): Promise<void> {
    try {
      await this.#shared.ready;
      if (this.#shared.deadline.isOver) return this.giveUp(this.#items.count(items));
      // The program's instrumentation must not trace these requests.
      await context.with(load("@opentelemetry/core").suppressTracing(ROOT_CONTEXT), () => this.#send(items));
    } catch (error) {
      this.fail(this.#items.count(items), { state: "refused", cause: "error", reason: messageOf(error) });
    }
  }

  /** Reports that `count` items were not sent before the deadline. */
  giveUp(count: number): void {
    this.fail(count, { state: "refused", cause: "shutdown", reason: "shutdown had no time for more" });
  }

  /** Reports that `count` items have not arrived, or that this is unknown. */
  fail(count: number, { state, cause, reason }: Failure): void {
    const what =
      state === "refused"
        ? (items: string) => `cannot export ${items} to`
        : (items: string) => `cannot confirm that ${items} reached`;
    this.lost(
      count,
      `${state} ${cause}`,
      (items) => `${what(items)} ${this.#target} (${this.#show(reason)}); workflows go on without it`,
    );
  }

  /** Reports `count` items as lost; `say` returns the line for a number of items. */
  lost(count: number, cause: string, say: (items: string) => string): void {
    const { signal, name } = this.#items;
    this.#shared.report.lost(`${signal} ${cause}`, count, (lost) => say(`${lost} ${name}${lost === 1 ? "" : "s"}`));
  }

  close(): void {
    this.#transport.close();
  }

  async #send(items: TItems): Promise<void> {
    const count = this.#items.count(items);
    const body = this.#serialize(items);
    const isLarge = body instanceof Uint8Array && body.length > largestRequest && count > 1;
    const answer = isLarge ? undefined : body instanceof Uint8Array ? await this.#attempt(body) : body;
    if (answer?.state === "taken") this.#accept(answer.body);
    else if (answer === undefined || (answer.isTooLarge === true && count > 1)) {
      for (const half of this.#items.halves(items)) await this.#send(half); // Not in parallel: each may be large.
    } else this.fail(count, answer);
  }

  /** The request, or the failure to create it; a part of the items may not have that. */
  #serialize(items: TItems): Uint8Array | Failure {
    try {
      return this.#items.serializer.serializeRequest(items) ?? new Uint8Array();
    } catch (error) {
      return { state: "refused", cause: "error", reason: messageOf(error), isTooLarge: true };
    }
  }

  #attempt(body: Uint8Array): Promise<Answer> {
    const { deadline } = this.#shared;
    return deadline.run(this.#timeout, async (signal) => {
      const end = performance.now() + this.#timeout;
      let answer = await this.#transport.send(body, signal);
      for (
        let pause = firstPause;
        answer.state !== "taken" && answer.mayRetry === true;
        pause = Math.min(pause * 1.5, longestPause)
      ) {
        const wait = answer.retryAfter ?? pause * (0.8 + Math.random() * 0.4);
        if (wait > end - performance.now()) break;
        await deadline.pause(wait, signal);
        if (signal.aborted) break;
        const next = await this.#transport.send(body, signal);
        // After an unanswered attempt, a later failure does not make it certain that the items are lost. At the timeout, the
        // cause of the previous failure is more informative.
        if (next.state === "taken") answer = next;
        else
          answer = {
            ...(next === timedOut ? { ...answer, mayRetry: false } : next),
            state: answer.state === "unanswered" ? "unanswered" : next.state,
          };
      }
      return answer;
    });
  }

  #accept(body: Uint8Array): void {
    const { errorMessage, ...rejected } = this.#partialSuccessIn(body);
    const count = Number(Object.entries(rejected).find(([name]) => name.startsWith("rejected"))?.[1] ?? 0);
    const { signal, name } = this.#items;
    // JSON of a collector can have null or a number there.
    const isMessage = typeof errorMessage === "string" && errorMessage !== "";
    const warning = isMessage ? ` (${this.#show(errorMessage)})` : "";
    if (count > 0)
      this.lost(count, "rejected", (items) => `the collector at ${this.#target} rejected ${items}${warning}`);
    else if (warning !== "")
      this.#shared.report.failed(
        `${signal} warning`,
        `the collector at ${this.#target} accepted ${name}s, with a warning${warning}`,
      );
  }

  #partialSuccessIn(body: Uint8Array): Readonly<Record<string, unknown>> {
    try {
      return { ...this.#items.serializer.deserializeResponse(body).partialSuccess };
    } catch {
      return {}; // The collector accepted the request, even if the answer is malformed.
    }
  }

  #show(message: string): string {
    // Shortened last: a part of a secret is not recognized.
    const shown = this.#secrets.reduce((text, secret) => text.replaceAll(secret, "[redacted]"), message);
    // Control characters could change what a terminal shows.
    return shown.slice(0, 500).replaceAll(/[\s\p{Cc}]+/gu, " ");
  }
}
