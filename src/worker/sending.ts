import type { Acknowledgement } from "../pipeline/index.ts";

/** What learns what became of a response. */
interface Sender {
  readonly kind: "orchestration" | "activity";
  acknowledge(acknowledgement: Acknowledgement): void;
}

/**
 * How a response is sent. A worker may send it several times until the backend accepts it: it is one response, and what
 * became of it is known when one was accepted or the worker gives up (contract.md W4).
 */
export class Sending {
  readonly #item: Sender;
  readonly #isActivity: boolean;
  #state: "not sent" | "sent" | "failed" | "acknowledged" = "not sent";
  #last: Acknowledgement = "unconfirmed";
  #isFirst = true;
  #running: Promise<void> | undefined;

  constructor(item: Sender) {
    this.#item = item;
    this.#isActivity = item.kind === "activity";
  }

  /** What settles when the worker is done with the work item. */
  set running(running: Promise<void>) {
    this.#running = running;
    // With a second reaction V8 no longer follows a promise in the stacks of failures. Those of an episode are durable (D3),
    // and a host's call is in them: an episode gets the reaction only after a failed attempt, when all its code has run.
    if (this.#isActivity || this.#state === "failed") this.#endWith(running);
  }

  /** The response is being sent. @returns whether for the first time. */
  start(): boolean {
    if (this.#state === "not sent") this.#state = "sent";
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    return isFirst;
  }

  /** The response could not be sent, for example because the connection is closed. */
  refused(): void {
    if (this.#state === "sent") this.#state = "not sent";
  }

  /** One attempt ended. After an unconfirmed one there may be more. */
  attempted(acknowledgement: Acknowledgement): void {
    this.#last = acknowledgement;
    if (acknowledgement !== "unconfirmed") return this.#end();
    if (this.#state !== "sent") return;
    this.#state = "failed";
    if (!this.#isActivity && this.#running !== undefined) this.#endWith(this.#running);
  }

  #endWith(running: Promise<void>): void {
    const end = (): void => this.#end();
    running.then(end, end);
  }

  /** The worker is done with the work item: what is known by now is what became of the response. */
  end(): void {
    this.#end();
  }

  #end(): void {
    if (this.#state === "acknowledged" || this.#state === "not sent") return;
    this.#state = "acknowledged";
    this.#item.acknowledge(this.#last);
  }
}
