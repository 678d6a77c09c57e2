import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { ClientRequest } from "node:http";

const channel = "http.client.request.created";

/**
 * The HTTP requests that exports are waiting for, so that shutdown can drop those that hang: the exporter would
 * hold the process for as long as a request may take.
 *
 * The exporter keeps its requests to itself (an agent of ours would replace the one it makes from the
 * `OTEL_EXPORTER_OTLP_CERTIFICATE` variables), but Node.js tells of each request where it is made.
 */
export class ExportRequests {
  readonly #scope = new AsyncLocalStorage<true>();
  readonly #open = new Set<ClientRequest>();
  #dropping = false;

  constructor() {
    subscribe(channel, this.#onCreated);
  }

  /** Runs `send`; requests that it makes, at once or in a later attempt, are the export's. */
  run(send: () => void): void {
    this.#scope.run(true, send);
  }

  /** Ends the requests that are open and those still to come. */
  drop(): void {
    this.#dropping = true;
    for (const request of this.#open) end(request);
  }

  /** Stops looking for requests. */
  close(): void {
    unsubscribe(channel, this.#onCreated);
  }

  readonly #onCreated = (message: unknown): void => {
    if (this.#scope.getStore() === undefined) return;
    const request = typeof message === "object" && message !== null && "request" in message ? message.request : undefined;
    if (!(request instanceof ClientRequest)) return;
    if (this.#dropping) {
      end(request);
      return;
    }
    this.#open.add(request);
    request.once("close", () => this.#open.delete(request));
  };
}

// An error that the exporter does not know as passing, so it makes no further attempt.
function end(request: ClientRequest): void {
  request.destroy(new Error("telemetry was shut down"));
}
