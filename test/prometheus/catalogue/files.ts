/** The files that are generated from the catalogue, by path from the repository's root. */
import { readFileSync } from "node:fs";
import { defaults } from "./catalogue.ts";
import { dashboard, dashboardPath } from "./dashboard.ts";
import { rulesFile, rulesPath, runbookPage } from "./rules-file.ts";
import { withGenerated } from "./runbook.ts";
import { spellings } from "./spelling.ts";

export const root: URL = new URL("../../../", import.meta.url);

/** What each generated file has to have. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ...spellings.map((each) => [rulesPath(each), rulesFile(each, defaults)] as const),
    ...spellings.map((each) => [dashboardPath(each), `${JSON.stringify(dashboard(each), null, 1)}\n`] as const),
    [runbookPage, withGenerated(readFileSync(new URL(runbookPage, root), "utf8"))] as const,
  ]);
}
