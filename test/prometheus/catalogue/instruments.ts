/** The instruments that the catalogue knows: those of `metrics`, and those of `observeTaskHub`. */
import { definitions, type InstrumentName } from "../../../middlewares/metrics/definitions.ts";

interface Instrument {
  readonly kind: string;
  readonly unit: string;
}

type ObservedName =
  | "durabletask.orchestration.active"
  | "durabletask.hub.orchestrations"
  | "durabletask.hub.oldest.age"
  | "durabletask.hub.oldest.idle"
  | "durabletask.hub.observation.complete"
  | "durabletask.hub.observation.age";

const observed: Readonly<Record<ObservedName, Instrument>> = {
  "durabletask.orchestration.active": { kind: "up-down counter", unit: "{orchestration}" },
  "durabletask.hub.orchestrations": { kind: "gauge", unit: "{orchestration}" },
  "durabletask.hub.oldest.age": { kind: "gauge", unit: "s" },
  "durabletask.hub.oldest.idle": { kind: "gauge", unit: "s" },
  "durabletask.hub.observation.complete": { kind: "gauge", unit: "1" },
  "durabletask.hub.observation.age": { kind: "gauge", unit: "s" },
};

export type KnownInstrument = InstrumentName | ObservedName;

export const instruments: Readonly<Record<KnownInstrument, Instrument>> = { ...definitions, ...observed };
