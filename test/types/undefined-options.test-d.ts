// Checked by `npm run typecheck`, with exactOptionalPropertyTypes: an option that is `undefined` is one that is not given.
import { expectTypeOf } from "vitest";
import type { caching, logging, metrics, tracing } from "../../middlewares/index.ts";
import type { DurableTaskInstrumentation } from "../../src/instrumentation/index.ts";
import type {
  defineMiddleware,
  DurableTelemetryOptions,
  MiddlewareHost,
  withDurableTelemetry,
} from "../../src/index.ts";
import type { setupOtlp } from "../../src/otlp/index.ts";
import type {
  createTelemetryRecorder,
  renderTrace,
  startLocalSidecar,
  TelemetryRecorder,
} from "../../src/testing/index.ts";

type OptionalKeys<T> = { [Name in keyof T]-?: Partial<Pick<T, Name>> extends Pick<T, Name> ? Name : never }[keyof T];

/** The options that don't take `undefined`; `never` if all do. */
type Strict<T> = {
  [Name in OptionalKeys<T>]: { [Only in Name]: undefined } extends Pick<T, Name> ? never : Name;
}[OptionalKeys<T>];

type Options<TFunction extends (...args: never[]) => unknown> = NonNullable<Parameters<TFunction>[0]>;
type Objects<T> = Extract<T, object>;

type Telemetry = NonNullable<Parameters<typeof withDurableTelemetry>[1]>;
expectTypeOf<Strict<Telemetry>>().toBeNever();
expectTypeOf<Strict<NonNullable<DurableTelemetryOptions["awaitGuard"]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof tracing>>>().toBeNever();
expectTypeOf<Strict<Options<typeof metrics>>>().toBeNever();
expectTypeOf<Strict<Options<typeof logging>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Options<typeof logging>["include"]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof caching>>>().toBeNever();
expectTypeOf<Strict<Options<typeof caching>["activities"][string]>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<ReturnType<typeof caching>["delete"]>[2]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof setupOtlp>>>().toBeNever();
expectTypeOf<Strict<Objects<Options<typeof setupOtlp>["traces"]>>>().toBeNever();
expectTypeOf<Strict<Objects<Options<typeof setupOtlp>["metrics"]>>>().toBeNever();
expectTypeOf<Strict<Objects<Options<typeof setupOtlp>["logs"]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof createTelemetryRecorder>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<TelemetryRecorder["waitForTrace"]>[1]>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<TelemetryRecorder["waitForSpan"]>[1]>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<TelemetryRecorder["tree"]>[1]>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<TelemetryRecorder["assertWhole"]>[1]>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<typeof renderTrace>[1]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof startLocalSidecar>>>().toBeNever();
expectTypeOf<Strict<NonNullable<ConstructorParameters<typeof DurableTaskInstrumentation>[0]>>>().toBeNever();
expectTypeOf<Strict<NonNullable<Parameters<MiddlewareHost["use"]>[1]>>>().toBeNever();
expectTypeOf<Strict<Options<typeof defineMiddleware>>>().toBeNever();

// The check finds an option that does not.
expectTypeOf<
  Strict<{ readonly name?: string; readonly port?: number | undefined; readonly host: string }>
>().toEqualTypeOf<"name">();
