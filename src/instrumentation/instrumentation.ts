import { InstrumentationBase, InstrumentationNodeModuleDefinition } from "@opentelemetry/instrumentation";
import type { InstrumentationConfig } from "@opentelemetry/instrumentation";
import { warn } from "../otlp/diagnostics.ts";
import { version } from "../version.ts";
import { attachPipeline, compose, type DurableTelemetryOptions } from "../with-durable-telemetry.ts";
import { isAttached } from "../worker/attach.ts";
import { supportedSdkRange } from "../worker/sdk-version.ts";
import { beforeMethods } from "./before-methods.ts";
import { exportedWorkers, sdkName, watchWorkerFiles } from "./worker-classes.ts";

/** Options of {@link DurableTaskInstrumentation}: those of `withDurableTelemetry`, for every worker, and `enabled`. */
export interface DurableTaskInstrumentationConfig extends InstrumentationConfig, DurableTelemetryOptions {}

/**
 * Gives every Durable Task worker of the process durable telemetry, as `withDurableTelemetry` does for one, without a
 * change to the code that creates it: workers of any copy of `@microsoft/durabletask-js` (`>=0.4.0 <1`), imported or
 * required, before or after this instrumentation was made.
 *
 * A worker is decorated when it starts, or when a host hands it its first work item. One that was decorated in code
 * by then keeps the options that it has there; none is decorated twice. Where several instrumentations are enabled,
 * the one that was enabled last decorates. What the worker's class looks like to the application does not change:
 * the worker gets no `use` or `middlewares`.
 *
 * `disable()` takes the patch off the classes: workers that start from then on are untouched. A worker that is
 * decorated stays so, since the orchestrations in flight need it for the rest of their traces.
 *
 * Telemetry goes to the providers that are registered with the OpenTelemetry API, as `NodeSDK` and `setupOtlp` do;
 * those that are set with `setTracerProvider`, `setMeterProvider` or `setLoggerProvider` are not used.
 *
 * A fault while a worker is decorated never stops it (telemetry.md K1): it is reported once, through `diag` or on the
 * console, and the worker runs without telemetry.
 *
 * @example
 * ```ts
 * import { NodeSDK } from "@opentelemetry/sdk-node";
 * import { DurableTaskInstrumentation } from "durable-telemetry/instrumentation";
 * import { DurableIdGenerator } from "durable-telemetry/otlp";
 *
 * const sdk = new NodeSDK({
 *   idGenerator: new DurableIdGenerator(),
 *   instrumentations: [new DurableTaskInstrumentation({ tracing: { tags: ["tenant"] } })],
 * });
 * sdk.start();
 * ```
 */
export class DurableTaskInstrumentation extends InstrumentationBase<DurableTaskInstrumentationConfig> {
  /** What takes the patch off each class that is patched now, by the class's prototype. */
  readonly #patched = new Map<object, () => void>();
  readonly #reported = new Set<string>();
  #stopWatching: (() => void) | undefined;

  /**
   * @param config the options of `withDurableTelemetry`, and `enabled` (default `true`).
   * @throws TypeError for unknown options and wrong types, as `withDurableTelemetry` does.
   */
  constructor(config: DurableTaskInstrumentationConfig = {}) {
    // The base class would enable it before the fields above are there.
    super("durable-telemetry", version, { enabled: false });
    this.setConfig(config);
    if (this.getConfig().enabled === true) this.enable();
  }

  /**
   * Sets the options of the workers that start from now on.
   *
   * @throws TypeError for unknown options and wrong types.
   */
  override setConfig(config: DurableTaskInstrumentationConfig = {}): void {
    compose(optionsOf(config));
    super.setConfig({ ...config, enabled: config.enabled ?? true });
  }

  /** Decorates the workers that start from now on. */
  override enable(): void {
    super.enable();
    this.#stopWatching ??= watchWorkerFiles((exports) => this.#patch(exports));
  }

  /** Leaves the workers that start from now on untouched; see the class for those that are decorated. */
  override disable(): void {
    super.disable();
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    for (const unpatch of this.#patched.values()) unpatch();
    this.#patched.clear();
  }

  protected override init(): InstrumentationNodeModuleDefinition {
    const patch = (exports: unknown): unknown => {
      this.#patch(exports);
      return exports;
    };
    // What is patched, here and by way of the files, is known to `disable`.
    return new InstrumentationNodeModuleDefinition(sdkName, [supportedSdkRange], patch, () => undefined);
  }

  #patch(exports: unknown): void {
    for (const { prototype, entries } of exportedWorkers(exports)) {
      if (!this.#patched.has(prototype)) this.#patched.set(prototype, beforeMethods(prototype, entries, this.#decorate));
    }
  }

  readonly #decorate = (worker: object): void => {
    try {
      // Without the members `use`, `middlewares` and so on: they might hide some of the application's own.
      if (!isAttached(worker)) attachPipeline(worker, optionsOf(this.getConfig()));
    } catch (error) {
      const message = `cannot instrument a worker, which runs without telemetry (${error instanceof Error ? error.message : String(error)})`;
      if (this.#reported.has(message)) return;
      this.#reported.add(message);
      warn(message);
    }
  };
}

function optionsOf(config: DurableTaskInstrumentationConfig): DurableTelemetryOptions {
  if (typeof config !== "object" || config === null) throw new TypeError("DurableTaskInstrumentation: the options must be an object.");
  const { enabled, ...options } = config;
  if (enabled !== undefined && typeof enabled !== "boolean") {
    throw new TypeError('DurableTaskInstrumentation: option "enabled" must be true or false.');
  }
  return options;
}
