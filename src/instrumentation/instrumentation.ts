import { warn } from "../otlp/diagnostics.ts";
import { version } from "../version.ts";
import { attachClient, attachPipeline, compose, type DurableTelemetryOptions } from "../with-durable-telemetry.ts";
import { isAttached } from "../worker/attach.ts";
import { beforeMethods } from "./before-methods.ts";
import { exportedClients, exportedWorkers, watchWorkerFiles } from "./worker-classes.ts";

/** Options of {@link DurableTaskInstrumentation}: those of `withDurableTelemetry`, for every worker, and `enabled`. */
export interface DurableTaskInstrumentationConfig extends DurableTelemetryOptions {
  /** Whether workers are decorated. On by default. */
  readonly enabled?: boolean | undefined;
}

/**
 * Adds telemetry to every Durable Task worker of the process, like `withDurableTelemetry`, without changing the code that
 * creates the worker. It finds workers of any copy of `@microsoft/durabletask-js` (`>=0.4.0 <1`), `@dapr/dapr` (`>=3.18.0 <4`)
 * and `@dapr/durabletask-js` (`>=1.0.0 <2`), imported or required, before or after this instrumentation was created. Dapr's
 * clients, which make no spans themselves, get the span of each orchestration that they schedule, unless `tracing` is `false`.
 *
 * A worker is decorated when it starts, or when a host passes it its first work item. If code decorated it before, the
 * options in the code apply; no worker is decorated twice. If several instrumentations are enabled, the one that was
 * enabled last decorates. The worker gets no members `use` and `middlewares`.
 *
 * `disable()` removes the patch from the classes: workers that start later are not decorated. A decorated worker stays
 * decorated, because running orchestrations need it for the rest of their traces.
 *
 * Telemetry goes to the providers that are registered with the OpenTelemetry API, for example by `NodeSDK` or
 * `setupOtlp`. `setTracerProvider`, `setMeterProvider` and `setLoggerProvider` have no effect.
 *
 * It implements OpenTelemetry's `Instrumentation`, which `NodeSDK` and `registerInstrumentations` of SDK 2.x and 3.x
 * accept, and needs only the OpenTelemetry API.
 *
 * A fault while a worker is decorated never stops it (telemetry.md K1): it is reported once, through `diag` or on the
 * console, and the worker runs without telemetry.
 *
 * @example
 * ```ts
 * import { NodeSDK } from "@opentelemetry/sdk-node";
 * import { DurableTaskInstrumentation } from "durable-telemetry/instrumentation";
 *
 * const sdk = new NodeSDK({
 *   instrumentations: [new DurableTaskInstrumentation({ tracing: { tags: ["tenant"] } })],
 * });
 * sdk.start();
 * ```
 */
export class DurableTaskInstrumentation {
  /** The name of this instrumentation, which OpenTelemetry requires. */
  readonly instrumentationName: string = "durable-telemetry";
  /** The version of this package. */
  readonly instrumentationVersion: string = version;
  #config: DurableTelemetryOptions & { readonly enabled: boolean } = { enabled: true };
  /** What takes the patch off each class that is patched now, by the class's prototype. */
  readonly #patched = new Map<object, () => void>();
  readonly #reported = new Set<string>();
  #stopWatching: (() => void) | undefined;

  /**
   * @param config the options of `withDurableTelemetry`, and `enabled` (default `true`).
   * @throws TypeError for unknown options and wrong types, like `withDurableTelemetry`.
   */
  constructor(config: DurableTaskInstrumentationConfig = {}) {
    this.setConfig(config);
    if (this.#config.enabled) this.enable();
  }

  /**
   * Sets the options of the workers that start from now on.
   *
   * @throws TypeError for unknown options and wrong types.
   */
  setConfig(config: DurableTaskInstrumentationConfig = {}): void {
    compose(optionsOf(config));
    this.#config = { ...config, enabled: config.enabled ?? true };
  }

  /** The options of the workers that start from now on. */
  getConfig(): DurableTelemetryOptions & { readonly enabled: boolean } {
    return this.#config;
  }

  /** Whether it decorates the workers that start from now on. */
  isEnabled(): boolean {
    return this.#stopWatching !== undefined;
  }

  /** Does nothing: spans go to the tracer provider that is registered with the OpenTelemetry API. */
  setTracerProvider(_provider: object): void {}

  /** Does nothing: measurements go to the meter provider that is registered with the OpenTelemetry API. */
  setMeterProvider(_provider: object): void {}

  /** Does nothing: log records go to the logger provider that is registered with the OpenTelemetry API. */
  setLoggerProvider(_provider: object): void {}

  /** Decorates the workers that start from now on. */
  enable(): void {
    this.#stopWatching ??= watchWorkerFiles((exports) => this.#patch(exports));
  }

  /** Does not decorate the workers that start from now on. Decorated workers stay decorated. */
  disable(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    for (const unpatch of this.#patched.values()) unpatch();
    this.#patched.clear();
  }

  #patch(exports: unknown): void {
    for (const { prototype, entries } of exportedWorkers(exports)) {
      if (!this.#patched.has(prototype))
        this.#patched.set(prototype, beforeMethods(prototype, entries, this.#decorate));
    }
    for (const { prototype, entries } of exportedClients(exports)) {
      if (!this.#patched.has(prototype))
        this.#patched.set(prototype, beforeMethods(prototype, entries, this.#decorateClient));
    }
  }

  readonly #decorate = (worker: object): void =>
    // Without the members `use`, `middlewares` and so on: they might hide some of the application's own.
    this.#attempt("worker", () => {
      if (!isAttached(worker)) attachPipeline(worker, optionsOf(this.#config), true);
    });

  readonly #decorateClient = (client: object): void =>
    this.#attempt("client", () => {
      if (this.#config.tracing !== false) attachClient(client);
    });

  #attempt(kind: string, decorate: () => void): void {
    try {
      decorate();
    } catch (error) {
      const message = `cannot instrument a ${kind}, which runs without telemetry (${error instanceof Error ? error.message : String(error)})`;
      if (this.#reported.has(message)) return;
      this.#reported.add(message);
      warn(message);
    }
  }
}

function optionsOf(config: DurableTaskInstrumentationConfig): DurableTelemetryOptions {
  if (typeof config !== "object" || config === null)
    throw new TypeError("DurableTaskInstrumentation: the options must be an object.");
  const { enabled, ...options } = config;
  if (enabled !== undefined && typeof enabled !== "boolean") {
    throw new TypeError('DurableTaskInstrumentation: option "enabled" must be true or false.');
  }
  return options;
}
