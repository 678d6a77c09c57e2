/** Runs the workload against servers, one for each spelling, and tells what they have of it. */
import { rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Panel, RowPanel } from "@grafana/grafana-foundation-sdk/dashboard";
import type { IMetricReader, ViewOptions } from "@opentelemetry/sdk-metrics";
import { dashboard, variables } from "./catalogue/dashboard.ts";
import { rulesFile } from "./catalogue/rules-file.ts";
import type { Spelling } from "./catalogue/spelling.ts";
import type { PrometheusServer, Sample } from "./server.ts";
import { parameters, startWorkload, type Workload } from "./workload.ts";

/** A server, and how it spells the names. */
export interface Spelled {
  readonly spelling: Spelling;
  readonly server: PrometheusServer;
}

/** A query of a panel, as Grafana sends it when everything is chosen. */
export interface PanelQuery {
  readonly title: string;
  readonly query: string;
}

/** The queries of the dashboard. */
export function panelQueries(spelling: Spelling): readonly PanelQuery[] {
  return panelsOf(spelling).flatMap(({ title = "", targets = [] }) =>
    targets.map((target) => ({ title, query: interpolate((target as { expr?: string }).expr ?? "") })),
  );
}

/** The values that the variables of names offer, by variable, asked for as Grafana asks. */
export async function offered({ spelling, server }: Spelled): Promise<Readonly<Record<string, readonly string[]>>> {
  const values: Record<string, readonly string[]> = {};
  for (const { name, query } of dashboard(spelling).templating.list ?? []) {
    // The regular expression of @grafana/prometheus.
    const [, selector = "", label = ""] =
      /^label_values\((?:(.+),\s*)?(.+)\)\s*$/.exec(typeof query === "string" ? query : "") ?? [];
    if (label !== "") values[name] = await server.labelValues(label, selector);
  }
  return values;
}

/** The panels of the dashboard that are no rows. */
export function panelsOf(spelling: Spelling): readonly Panel[] {
  return (dashboard(spelling).panels ?? []).filter((each: Panel | RowPanel): each is Panel => each.type !== "row");
}

function interpolate(expression: string): string {
  const query = expression
    .replaceAll("$__rate_interval", "1m")
    .replaceAll(`$${variables.orchestrations}`, ".*")
    .replaceAll(`$${variables.activities}`, ".*");
  if (query.includes("$")) throw new Error(`There is no value for a variable of ${query}`);
  return query;
}

/** The rules with the thresholds of the workload, in a file that is gone after the test. */
export class LiveRules implements Disposable {
  readonly #directory: string = mkdtempSync(join(tmpdir(), "durable-telemetry-rules-"));
  readonly path: string = join(this.#directory, "rules.yml");

  constructor(spelling: Spelling) {
    writeFileSync(this.path, rulesFile(spelling, parameters));
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A workload that went well for a while, and then had every incident. */
export interface Run extends AsyncDisposable {
  readonly incidents: readonly string[];
  /** The alerts that had fired when the incidents began. */
  readonly firedBefore: readonly string[];
}

export async function runWorkload(
  pipeline: { readers: IMetricReader[]; views?: ViewOptions[] },
  servers: readonly Spelled[],
): Promise<Run> {
  const collected = async (): Promise<void> => {
    const now = Date.now() / 1000;
    // Half a second is an interval of the servers.
    await Promise.all(servers.map(async (each) => collectedAfter(each, now + 0.5)));
  };
  const workload: Workload = await startWorkload(pipeline, collected);
  try {
    for (let round = 0; round < 3; round += 1) {
      await workload.round();
      await collected();
    }
    const fired = await Promise.all(servers.map(firing));
    for (const incident of Object.values(workload.incidents)) {
      await incident();
      await collected();
    }
    await workload.round();
    await collected();
    return {
      incidents: Object.keys(workload.incidents),
      firedBefore: [...new Set(fired.flat())],
      [Symbol.asyncDispose]: () => workload[Symbol.asyncDispose](),
    };
  } catch (error) {
    await workload[Symbol.asyncDispose]();
    throw error;
  }
}

/** Resolves when a server has values that were collected after a time, in seconds since the epoch. */
async function collectedAfter({ spelling, server }: Spelled, time: number): Promise<void> {
  const started = spelling.select("durabletask.orchestration.started");
  await server.until("newer values", async () => {
    const [newest] = await server.query(`max(timestamp(${started}))`);
    return newest !== undefined && newest.value > time ? newest : undefined;
  });
}

/** The names of the alerts that have fired. */
export async function firing({ server }: Spelled): Promise<readonly string[]> {
  const fired = await server.query('max_over_time(ALERTS{alertstate="firing"}[10m])');
  return fired.map(({ metric }) => metric["alertname"] ?? "");
}

/** The values of a query that are numbers, when there are some. */
export async function answered({ server }: Spelled, query: string): Promise<readonly Sample[]> {
  return server.until(`an answer to ${query}`, async () => {
    const samples = (await server.query(query)).filter(({ value }) => Number.isFinite(value));
    return samples.length > 0 ? samples : undefined;
  });
}
