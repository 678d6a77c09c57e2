import { SpanKind, SpanStatusCode, type Attributes } from "@opentelemetry/api";
import { hrTimeToMilliseconds } from "@opentelemetry/core";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";

/** What somebody on call asks, the answer from these spans, and what gives it in a backend. */
export interface Question {
  readonly question: string;
  readonly answers: readonly string[];
  readonly lookup: string;
}

export function questionsAbout(spans: readonly ReadableSpan[]): readonly Question[] {
  const waits = spans.filter(isOf("wait", SpanKind.INTERNAL));
  const runs = spans.filter(isOf("activity", SpanKind.SERVER));
  const attempts = spans.filter(isOf("activity", SpanKind.CLIENT));
  const failures = spans.filter(isOf("orchestration", SpanKind.SERVER)).filter(isFailed);
  const orders = failures.filter(({ attributes }) => attributes["durabletask.parent.instance_id"] === undefined);
  return [
    {
      question: "What waited, and for what?",
      answers: waits.map(({ attributes, duration }) => {
        const event = text(attributes, "durabletask.event.name");
        return `${instanceOf(attributes)} waited ${milliseconds(duration)} for the event "${event}"`;
      }),
      lookup: "the spans wait:NAME; while it waits, the newest log record durabletask.orchestration.waiting",
    },
    {
      question: "Which step is slow?",
      answers: runs
        .toSorted((one, other) => hrTimeToMilliseconds(other.duration) - hrTimeToMilliseconds(one.duration))
        .slice(0, 1)
        .map(({ attributes, duration }) => `${nameOf(attributes)} took ${milliseconds(duration)}`),
      lookup:
        "histogram_quantile(0.95, sum by (durabletask_task_name, le) (rate(durabletask_activity_duration_bucket[5m])))",
    },
    {
      question: "What failed, and why?",
      answers: orders.map((order) => {
        const cause = runs.find((run) => isFailed(run) && isInTrace(run, order));
        return `${instanceOf(order.attributes)} failed in ${nameOf(cause?.attributes)}: ${cause?.status.message}`;
      }),
      lookup: "the failed spans of the trace; log records durabletask.orchestration.finished of severity ERROR",
    },
    {
      question: "How was it compensated?",
      answers: orders.flatMap((order) => {
        const cause = runs.find((run) => isFailed(run) && isInTrace(run, order));
        if (cause === undefined) return [];
        const failedAt = hrTimeToMilliseconds(cause.endTime);
        return runs
          .filter((run) => isInTrace(run, order) && hrTimeToMilliseconds(run.startTime) >= failedAt)
          .map(({ attributes }) => `${instanceOf(order.attributes)}: ${nameOf(attributes)} ran after the failure`);
      }),
      lookup: "the spans that follow the failed one in the waterfall",
    },
    {
      question: "What was tried again?",
      answers: attempts
        .filter(({ attributes }) => Number(attributes["durabletask.task.attempt"]) > 1)
        .map(({ attributes, status }) => {
          const outcome = status.code === SpanStatusCode.ERROR ? "failed" : "succeeded";
          const attempt = text(attributes, "durabletask.task.attempt");
          return `${instanceOf(attributes)}: attempt ${attempt} of ${nameOf(attributes)} ${outcome}`;
        }),
      lookup: "sum by (durabletask_task_name) (last_over_time(durabletask_task_retries_total[1h]))",
    },
  ];
}

const isOf =
  (type: string, kind: SpanKind) =>
  (span: ReadableSpan): boolean =>
    span.kind === kind && span.attributes["durabletask.type"] === type;
const isFailed = ({ status }: ReadableSpan): boolean => status.code === SpanStatusCode.ERROR;
const isInTrace = (one: ReadableSpan, other: ReadableSpan): boolean =>
  one.spanContext().traceId === other.spanContext().traceId;

const text = (attributes: Attributes | undefined, name: string): string => String(attributes?.[name]);
const nameOf = (attributes: Attributes | undefined): string => text(attributes, "durabletask.task.name");
const instanceOf = (attributes: Attributes): string => text(attributes, "durabletask.task.instance_id");
const milliseconds = (duration: ReadableSpan["duration"]): string => `${hrTimeToMilliseconds(duration).toFixed(0)} ms`;
