import { context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { ISerializer } from "@opentelemetry/otlp-transformer";
import { type LossReport, messageOf } from "./diagnostics.ts";
import type { Deadline } from "../ending/deadline.ts";
import { load } from "./packages.ts";
import type { Signal, SignalSettings } from "./settings.ts";
import { type Answer, createTransport, timedOut, type Transport } from "./transport.ts";
import { showAddress } from "./values.ts";

/** What an {@link OtlpExporter} has to know of a signal. */
export interface SignalKind<TItems, TResponse> {
  readonly signal: Signal;
  /** What a line calls `count` of them. */
  readonly name: (count: number) => string;
  readonly serializer: ISerializer<TItems, TResponse>;
  readonly count: (items: TItems) => number;
  /** Two parts of about the same size; of more than one. */
  readonly halves: (items: TItems) => readonly [TItems, TItems];
  /** How many the collector has rejected, and what it says of that. */
  readonly rejected: (response: TResponse) => { readonly count: unknown; readonly message: string | undefined };
  /** The resource, whose detection is waited for. */
  readonly resource: (items: TItems) => { readonly asyncAttributesPending?: boolean; waitForAsyncAttributes?(): Promise<void> } | undefined;
}

// Collectors take no more, by default, over HTTP and gRPC.
const largestRequest = 4 * 2 ** 20;
const firstPause = 1000;
const longestPause = 5000;

/**
 * Sends a signal to its collector: in requests that are no larger than collectors take, with further attempts within the
 * timeout, and with a line for all that does not arrive. Nothing of it rejects or throws (telemetry.md K1).
 */
export class OtlpExporter<TItems, TResponse> {
  readonly #kind: SignalKind<TItems, TResponse>;
  readonly #transport: Transport;
  readonly #deadline: Deadline;
  readonly #report: LossReport;
  readonly #timeout: number;
  readonly #target: string;
  readonly #secrets: readonly string[];

  /** @param most milliseconds that one export may take, if that is less than the settings say. */
  constructor(
    kind: SignalKind<TItems, TResponse>,
    settings: SignalSettings,
    { deadline, report, most = Number.POSITIVE_INFINITY }: { deadline: Deadline; report: LossReport; most?: number },
  ) {
    this.#kind = kind;
    this.#transport = createTransport(kind.signal, settings);
    this.#deadline = deadline;
    this.#report = report;
    this.#timeout = Math.min(settings.timeout.value, settings.exportTimeout.value, most);
    this.#target = showAddress(settings.endpoint.value);
    // The parts too, such as the token after `Bearer`.
    const values = [...settings.headers.values()].flatMap(({ value }) => [value, ...value.split(/\s+/)]);
    this.#secrets = values.filter((text) => text.length > 3);
  }

  /** Sends the items. */
  async export(items: TItems): Promise<void> {
    try {
      await this.#kind.resource(items)?.waitForAsyncAttributes?.();
      // The requests are no part of what the program does.
      await context.with(load("@opentelemetry/core").suppressTracing(ROOT_CONTEXT), () => this.#send(items));
    } catch (error) {
      this.#lost(items, { kind: "error", text: messageOf(error) });
    }
  }

  /** Reports `count` items as lost that were never sent. */
  drop(cause: string, count: number, why: string): void {
    this.#report.lost(`${this.#kind.signal} ${cause}`, count, (lost) => `dropped ${lost} ${this.#kind.name(lost)}: ${why}`);
  }

  /** Reports that shutdown had no time to send `count` items. */
  giveUp(count: number): void {
    this.#cannotExport(count, { kind: "shutdown", text: "shutdown had no time for more" });
  }

  close(): void {
    this.#transport.close();
  }

  async #send(items: TItems): Promise<void> {
    const canSplit = this.#kind.count(items) > 1;
    const body = this.#serialize(items);
    const isLarge = body instanceof Uint8Array && body.length > largestRequest && canSplit;
    const answer = isLarge ? undefined : body instanceof Uint8Array ? await this.#attempt(body) : body;
    if (answer?.isTaken === true) this.#accept(answer.body);
    else if (answer === undefined || (answer.isTooLarge === true && canSplit)) {
      for (const half of this.#kind.halves(items)) await this.#send(half); // One after the other: each may be large.
    } else this.#lost(items, answer);
  }

  /** The request; or the reason why there is none, which another part of the items may not have. */
  #serialize(items: TItems): Uint8Array | Answer {
    try {
      return this.#kind.serializer.serializeRequest(items) ?? new Uint8Array();
    } catch (error) {
      return { isTaken: false, kind: "error", text: messageOf(error), isTooLarge: true };
    }
  }

  #attempt(body: Uint8Array): Promise<Answer> {
    return this.#deadline.run(this.#timeout, async (signal) => {
      let answer = timedOut;
      const end = performance.now() + this.#timeout;
      for (let pause = firstPause; !signal.aborted; pause = Math.min(pause * 1.5, longestPause)) {
        const next = await this.#transport.send(body, signal);
        // Where the time is over, the cause of the failure before tells more.
        if (next !== timedOut || answer === timedOut) answer = next;
        if (answer.isTaken || answer.mayRetry !== true) break;
        const wait = answer.retryAfter ?? pause * (0.8 + Math.random() * 0.4);
        if (wait > end - performance.now()) break;
        await this.#deadline.pause(wait, signal);
      }
      return answer;
    });
  }

  #accept(body: Uint8Array): void {
    const { count, message = "" } = this.#rejectedIn(body);
    const rejected = Number(count ?? 0);
    const { signal, name } = this.#kind;
    const said = message === "" ? "" : ` (${this.#show(message)})`;
    if (rejected > 0) this.#report.lost(`${signal} rejected`, rejected, (lost) => `the collector at ${this.#target} rejected ${lost} ${name(lost)}${said}`);
    else if (said !== "") this.#report.failed(`${signal} warning`, `the collector at ${this.#target} accepted ${name(2)}, with a warning${said}`);
  }

  #rejectedIn(body: Uint8Array): { readonly count?: unknown; readonly message?: string | undefined } {
    try {
      return this.#kind.rejected(this.#kind.serializer.deserializeResponse(body));
    } catch {
      return {}; // It was taken, whatever the answer is.
    }
  }

  #lost(items: TItems, cause: { readonly kind: string; readonly text: string }): void {
    this.#cannotExport(this.#kind.count(items), cause);
  }

  #cannotExport(count: number, { kind, text }: { readonly kind: string; readonly text: string }): void {
    const { signal, name } = this.#kind;
    this.#report.lost(`${signal} ${kind}`, count, (lost) => `cannot export ${lost} ${name(lost)} to ${this.#target} (${this.#show(text)}); workflows go on without it`);
  }

  #show(text: string): string {
    const line = text.slice(0, 500).replaceAll(/\s+/g, " ");
    return this.#secrets.reduce((shown, secret) => shown.replaceAll(secret, "[redacted]"), line);
  }
}
