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
 * The exporter keeps its requests to itself (an agent of ours would replace the one it makes from the
 * `OTEL_EXPORTER_OTLP_CERTIFICATE` variables), but Node.js tells of each request where it is made.
 */
export class ExportRequests {
  readonly #scope = new AsyncLocalStorage<OpenRequests>();
  readonly #open = new Set<OpenRequests>();
  #dropping = false;

  constructor() {
    subscribe(channel, this.#onCreated);
  }

  /** Runs `send`; requests that it makes, at once or in a later attempt, are the export's. */
  run(send: () => void): RequestsOfExport {
    const requests = new OpenRequests(this.#open);
    if (this.#dropping) requests.drop();
    this.#scope.run(requests, send);
    return requests;
  }

  /** Ends the requests of all exports, those still to come as well. */
  drop(): void {
    this.#dropping = true;
    for (const requests of this.#open) requests.drop();
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
    requests.add(request);
    if (this.#dropping) requests.drop();
  };
}

class OpenRequests implements RequestsOfExport {
  readonly #all: Set<OpenRequests>;
  readonly #requests = new Set<ClientRequest>();
  #dropping = false;
  #refusing = false;
  #gotRefused = false;
  #gotWebPage = false;

  /** @param all has it as long as it has requests. */
  constructor(all: Set<OpenRequests>) {
    this.#all = all;
  }

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
    this.#all.add(this);
    this.#requests.add(request);
    request.once("response", ({ headers }) => {
      this.#gotWebPage ||= headers["content-type"]?.startsWith("text/html") ?? false;
    });
    request.once("close", () => {
      this.#requests.delete(request);
      if (this.#requests.size === 0) this.#all.delete(this);
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
