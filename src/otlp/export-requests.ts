import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { ClientRequest } from "node:http";

const channel = "http.client.request.created";

/** The requests of one export. */
export interface RequestsOfExport {
  /** Whether one was answered with a web page: whatever has sent that, it is no OTLP collector. */
  readonly gotWebPage: boolean;
  /** Whether an attempt was refused; see {@link refuseMore}. */
  readonly gotRefused: boolean;
  /** Ends the requests that are still to come; those that are open go on. */
  refuseMore(): void;
  /** Ends the requests that are open and those still to come. */
  drop(): void;
}

/**
 * The HTTP requests that exports are waiting for, so that those that hang can be dropped: the exporter would hold the
 * process for as long as a request may take, and for good where an answer drips.
 *
 * The exporter keeps its requests to itself, but Node.js tells of each where it is made.
 */
export class ExportRequests {
  readonly #scope = new AsyncLocalStorage<OpenRequests>();
  readonly #open = new Set<ClientRequest>();
  #dropping = false;

  constructor() {
    subscribe(channel, this.#onCreated);
  }

  /** Runs `send`; requests that it makes, at once or in a later attempt, are the export's. */
  run(send: () => void): RequestsOfExport {
    const requests = new OpenRequests();
    this.#scope.run(requests, send);
    return requests;
  }

  /** Ends the requests of all exports, those still to come as well. */
  drop(): void {
    this.#dropping = true;
    for (const request of this.#open) end(request);
  }

  /** Stops looking for requests. */
  close(): void {
    unsubscribe(channel, this.#onCreated);
  }

  readonly #onCreated = (message: unknown): void => {
    const requests = this.#scope.getStore();
    if (requests === undefined) return;
    const request = typeof message === "object" && message !== null && "request" in message ? message.request : undefined;
    if (!(request instanceof ClientRequest)) return;
    this.#open.add(request);
    request.once("close", () => this.#open.delete(request));
    requests.add(request);
    if (this.#dropping) end(request);
  };
}

class OpenRequests implements RequestsOfExport {
  readonly #requests: ClientRequest[] = [];
  #dropping = false;
  #refusing = false;
  #gotRefused = false;
  #gotWebPage = false;

  get gotWebPage(): boolean {
    return this.#gotWebPage;
  }

  get gotRefused(): boolean {
    return this.#gotRefused;
  }

  refuseMore(): void {
    this.#refusing = true;
  }

  add(request: ClientRequest): void {
    this.#gotRefused ||= this.#refusing;
    if (this.#dropping || this.#refusing) {
      end(request);
      return;
    }
    this.#requests.push(request);
    request.once("response", ({ headers }) => {
      this.#gotWebPage ||= headers["content-type"]?.startsWith("text/html") ?? false;
    });
  }

  drop(): void {
    this.#dropping = true;
    for (const request of this.#requests) end(request);
  }
}

// An error that the exporter does not know as passing, so it makes no further attempt.
function end(request: ClientRequest): void {
  request.destroy(new Error("telemetry was shut down"));
}
