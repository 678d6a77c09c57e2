/** The shape that each trace must have. */
import type { OtlpSpan } from "./query.ts";

export const kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] as const;

/** A span in words: its service, name and kind, and whether it failed. */
export const inWords = ({ service, name, kind, status }: OtlpSpan): string =>
  `${service} ${name} ${kinds[kind]}${status?.code === 2 ? " ERROR" : ""}`;

/** One line for each sort of span: how many there are, itself, and its parent. */
export function shapeOf(spans: readonly OtlpSpan[]): string {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const parentOf = ({ parentSpanId }: OtlpSpan): string => {
    if (!parentSpanId) return "root";
    const parent = byId.get(parentSpanId);
    return parent === undefined ? "orphan" : inWords(parent);
  };
  const lines = spans.map((span) => `${inWords(span)} < ${parentOf(span)}`);
  return [...new Set(lines)]
    .toSorted()
    .map((line) => `${lines.filter((each) => each === line).length} ${line}`)
    .join("\n");
}

const started = (workflow: string, outcome = ""): string => `
1 order-worker orchestration:${workflow} SERVER${outcome} < shop-web create_orchestration:${workflow} PRODUCER
1 shop-web POST /${workflow} SERVER < root
1 shop-web create_orchestration:${workflow} PRODUCER < shop-web POST /${workflow} SERVER`;

const packed = (times: number, workflow: string, outcome = ""): string => `
${times} order-worker activity:pack CLIENT < order-worker orchestration:${workflow} SERVER${outcome}
${times} order-worker activity:pack SERVER < order-worker activity:pack CLIENT`;

const continued = `
${packed(1, "poll")}
1 order-worker orchestration:poll SERVER < root
1 order-worker print label INTERNAL < order-worker activity:pack SERVER`;

/** By workflow of the operator's shop: the shapes of its traces, in order. */
export const shopShapes: Readonly<Record<string, readonly string[]>> = {
  fulfil: [
    `${started("fulfil")}
1 card-network POST /charge SERVER < order-worker POST CLIENT
2 card-network POST /charge SERVER ERROR < order-worker POST CLIENT ERROR
1 order-worker POST CLIENT < order-worker activity:charge SERVER
2 order-worker POST CLIENT ERROR < order-worker activity:charge SERVER ERROR
1 order-worker activity:charge CLIENT < order-worker orchestration:fulfil SERVER
2 order-worker activity:charge CLIENT ERROR < order-worker orchestration:fulfil SERVER
1 order-worker activity:charge SERVER < order-worker activity:charge CLIENT
2 order-worker activity:charge SERVER ERROR < order-worker activity:charge CLIENT ERROR
2 order-worker orchestration:fulfil:timer INTERNAL < order-worker orchestration:fulfil SERVER
1 order-worker plan parcels INTERNAL < order-worker orchestration:fulfil SERVER
1 order-worker wait:approved INTERNAL < order-worker orchestration:fulfil SERVER
2 order-worker orchestration:ship CLIENT < order-worker orchestration:fulfil SERVER
2 order-worker orchestration:ship SERVER < order-worker orchestration:ship CLIENT
2 order-worker orchestration:ship:timer INTERNAL < order-worker orchestration:ship SERVER
${packed(4, "ship")}
4 order-worker print label INTERNAL < order-worker activity:pack SERVER`,
  ],
  // The worker was killed in the second of three activities, after its label was printed.
  move: [
    `${started("move")}${packed(3, "move")}\n4 order-worker print label INTERNAL < order-worker activity:pack SERVER`,
  ],
  refund: [
    `${started("refund", " ERROR")}
${packed(1, "refund", " ERROR")}
1 order-worker print label INTERNAL < order-worker activity:pack SERVER
1 order-worker activity:refund CLIENT ERROR < order-worker orchestration:refund SERVER ERROR
1 order-worker activity:refund SERVER ERROR < order-worker activity:refund CLIENT ERROR`,
  ],
  poll: [
    `${started("poll")}${packed(1, "poll")}\n1 order-worker print label INTERNAL < order-worker activity:pack SERVER`,
    continued,
    continued,
  ],
  approve: [
    `${started("approve")}${packed(1, "approve")}
1 order-worker print label INTERNAL < order-worker activity:pack SERVER
1 order-worker orchestration_event:approved PRODUCER < order-worker orchestration:approve SERVER`,
  ],
};

const order = (items: number, outcome = ""): string => `
1 order-workflow create_orchestration:processOrder PRODUCER < root
1 order-workflow orchestration:processOrder SERVER${outcome} < order-workflow create_orchestration:processOrder PRODUCER
1 order-workflow price order INTERNAL < order-workflow orchestration:processOrder SERVER${outcome}
${items} order-workflow activity:reserveItem CLIENT < order-workflow orchestration:processOrder SERVER${outcome}
${items} order-workflow activity:reserveItem SERVER < order-workflow activity:reserveItem CLIENT
${items} order-workflow db.query CLIENT < order-workflow activity:reserveItem SERVER
1 order-workflow orchestration:payOrder CLIENT${outcome} < order-workflow orchestration:processOrder SERVER${outcome}
1 order-workflow orchestration:payOrder SERVER${outcome} < order-workflow orchestration:payOrder CLIENT${outcome}`;

const failedCharge = (outcome: string): string => `
1 order-workflow activity:chargeCard CLIENT ERROR < order-workflow orchestration:payOrder SERVER${outcome}
1 order-workflow activity:chargeCard SERVER ERROR < order-workflow activity:chargeCard CLIENT ERROR`;

const paidAndShipped = `
1 order-workflow activity:chargeCard CLIENT < order-workflow orchestration:payOrder SERVER
1 order-workflow activity:chargeCard SERVER < order-workflow activity:chargeCard CLIENT
1 order-workflow db.query CLIENT < order-workflow activity:chargeCard SERVER
1 order-workflow orchestration:processOrder:timer INTERNAL < order-workflow orchestration:processOrder SERVER
1 order-workflow activity:shipOrder CLIENT < order-workflow orchestration:processOrder SERVER
1 order-workflow activity:shipOrder SERVER < order-workflow activity:shipOrder CLIENT`;

/** By order of the demo: the shape of its trace. */
export const demoShapes: Readonly<Record<string, string>> = {
  "order-1001": `${order(3)}${paidAndShipped}${failedCharge("")}
1 order-workflow orchestration:payOrder:timer INTERNAL < order-workflow orchestration:payOrder SERVER`,
  "order-1002": `${order(2)}${paidAndShipped}
1 order-workflow activity:requestApproval CLIENT < order-workflow orchestration:processOrder SERVER
1 order-workflow activity:requestApproval SERVER < order-workflow activity:requestApproval CLIENT
1 order-workflow wait:approval INTERNAL < order-workflow orchestration:processOrder SERVER
1 order-workflow orchestration_event:approval PRODUCER < order-workflow activity:requestApproval SERVER`,
  "order-1003": `${order(2, " ERROR")}${failedCharge(" ERROR")}
1 order-workflow activity:releaseItems CLIENT < order-workflow orchestration:processOrder SERVER ERROR
1 order-workflow activity:releaseItems SERVER < order-workflow activity:releaseItems CLIENT
1 order-workflow db.query CLIENT < order-workflow activity:releaseItems SERVER`,
};

/** A shape with its lines in the order of {@link shapeOf}. */
export const sorted = (shape: string): string =>
  shape
    .split("\n")
    .filter((line) => line !== "")
    .toSorted((a, b) => compare(a.slice(a.indexOf(" ")), b.slice(b.indexOf(" "))))
    .join("\n");

const compare = (a: string, b: string): number => Number(a > b) - Number(a < b);
