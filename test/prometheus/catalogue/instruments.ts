/** The instruments that the catalogue knows: those of `metrics`, and those of `observeTaskHub`. */
import { definitions, type InstrumentName } from "../../../middlewares/metrics/definitions.ts";
import { hubDefinitions, type HubInstrumentName } from "../../../middlewares/metrics/task-hub.ts";

export type KnownInstrument = InstrumentName | HubInstrumentName;

export const instruments: Readonly<Record<KnownInstrument, { readonly kind?: string; readonly unit: string }>> = {
  ...definitions,
  ...hubDefinitions,
};
