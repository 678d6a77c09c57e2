import {
  ActivityExecution,
  Episode,
  type ActivityOutcome,
  type ActivityResponse,
  type Continuation,
  type CreatedTimer,
  type EpisodeOutcome,
  type EpisodeResponse,
  type ParentOrchestration,
  type PersistedSpan,
  type ScheduledTask,
  type SentMessage,
  type TaskFailure,
  type TraceContext,
  type WorkItemHost,
} from "../pipeline/index.ts";
import { isSpanId } from "../telemetry/identity.ts";
import { ProtoHistory } from "./history.ts";
import {
  continuationOf,
  failureOf,
  orchestrationTraceContextMessage,
  outcomeOf,
  scheduledBy,
  sentBy,
  tagsOf,
  timeOf,
  timersOf,
  traceContextOf,
  type CarryTraceContext,
} from "./messages.ts";
import type {
  ActivityRequest,
  ActivityResponse as ActivityResponseMessage,
  ExecutionStartedEvent,
  HistoryEvent,
  OrchestrationTraceContext,
  OrchestratorAction,
  OrchestratorResponse,
} from "./protocol.ts";
import { lostInternals, orchestrationContextInternals, reportLost, retryInternals } from "./sdk-internals.ts";

/** What a worker hands over of an episode. */
export interface EpisodeSource {
  readonly instanceId: string;
  readonly executionId: string | undefined;
  readonly past: readonly HistoryEvent[];
  readonly fresh: readonly HistoryEvent[];
  readonly persistedSpan?: OrchestrationTraceContext | undefined;
  /** Reads the trace context that started the execution, where it does not stand in its field. */
  traceContext?(started: ExecutionStartedEvent): TraceContext | undefined;
  /** Reads the ID of the span that the backend itself makes of the execution, where it does not stand in its field. */
  backendSpanId?(started: ExecutionStartedEvent): string | undefined;
  /** Takes the persisted span off the request. */
  clearPersistedSpan?(): void;
}

// Empty strings count as absent (contract.md X3), as in the SDK, which sends an absent input as an empty string.

/** An episode, read from the protocol's messages when a member is asked for. */
export class ProtoEpisode extends Episode {
  readonly instanceId: string;
  readonly history: ProtoHistory;
  /** What failed the orchestration, if that is no error and the SDK does not record what it is. */
  thrown: Thrown | undefined;
  readonly #source: EpisodeSource;
  readonly #started: ExecutionStartedEvent;
  #executionId: string | undefined;
  #tags: Readonly<Record<string, string>> | undefined;
  // `null` until it is read: what is taken off the request is still known.
  #traceContext: TraceContext | undefined | null = null;
  #persistedSpan: PersistedSpan | undefined | null = null;
  /** Whether the request is without its trace contexts. */
  hasTakenTraceContexts = false;

  /** The episode; `undefined` if its history has no start, which is the SDK's to complain about. */
  static from(source: EpisodeSource, host: WorkItemHost): ProtoEpisode | undefined {
    const history = new ProtoHistory(source.past, source.fresh);
    const started = history.started?.getExecutionstarted();
    return started && new ProtoEpisode(source, history, started, host);
  }

  constructor(source: EpisodeSource, history: ProtoHistory, started: ExecutionStartedEvent, host: WorkItemHost) {
    super(host);
    this.instanceId = source.instanceId;
    this.history = history;
    this.#source = source;
    this.#started = started;
  }

  get name(): string {
    return this.#started.getName();
  }
  get executionId(): string | undefined {
    // What replays wins, as in the SDK.
    return (this.#executionId ??=
      this.#started.getOrchestrationinstance()?.getExecutionid()?.getValue() || this.#source.executionId || undefined);
  }
  get activityExecutionId(): string | undefined {
    // What has one for its activities has one for the request, too; durabletask-go has neither.
    return this.#source.executionId || undefined;
  }
  get backendSpanId(): string | undefined {
    return (
      (this.#source.backendSpanId === undefined
        ? this.#started.getOrchestrationspanid?.()?.getValue()
        : this.#source.backendSpanId(this.#started)) || undefined
    );
  }
  get version(): string | undefined {
    return this.#started.getVersion()?.getValue() || undefined;
  }
  get tags(): Readonly<Record<string, string>> {
    return (this.#tags ??= tagsOf(this.#started.getTagsMap?.()));
  }
  get rawInput(): string | undefined {
    return this.#started.getInput()?.getValue() || undefined;
  }
  get parent(): ParentOrchestration | undefined {
    return parentOf(this.#started.getParentinstance());
  }
  get traceContext(): TraceContext | undefined {
    if (this.#traceContext === null) {
      const started = this.#started;
      this.#traceContext =
        this.#source.traceContext === undefined
          ? traceContextOf(started.getParenttracecontext?.())
          : this.#source.traceContext(started);
    }
    return this.#traceContext;
  }
  get persistedSpan(): PersistedSpan | undefined {
    if (this.#persistedSpan === null) this.#persistedSpan = persistedSpanIn(this.#source.persistedSpan);
    return this.#persistedSpan;
  }

  takeTraceContexts(): void {
    this.hasTakenTraceContexts = true;
    // Read before they are gone.
    if (this.traceContext !== undefined) this.#started.setParenttracecontext?.(undefined);
    if (this.persistedSpan !== undefined || this.#source.persistedSpan !== undefined)
      this.#source.clearPersistedSpan?.();
  }
}

function persistedSpanIn(message: OrchestrationTraceContext | undefined): PersistedSpan | undefined {
  const spanId = message?.getSpanid()?.getValue();
  return spanId ? { spanId, startTime: timeOf(message?.getSpanstarttime()) } : undefined;
}

/** What an episode answers, read from its actions when a member is asked for. */
export class ProtoEpisodeResponse implements EpisodeResponse {
  readonly #episode: ProtoEpisode;
  readonly #actions: readonly OrchestratorAction[];
  readonly #message: OrchestratorResponse | undefined;
  readonly #carry: CarryTraceContext | undefined;
  #outcome: EpisodeOutcome | undefined;
  #scheduled: readonly ScheduledTask[] | undefined;
  #sent: readonly SentMessage[] | undefined;

  /**
   * @param leaves.message the response that leaves; without one there is no place for the identity of a span.
   * @param leaves.carry has trace contexts leave, where actions have no field for them.
   */
  constructor(
    episode: ProtoEpisode,
    actions: readonly OrchestratorAction[],
    { message, carry }: { readonly message?: OrchestratorResponse; readonly carry?: CarryTraceContext } = {},
  ) {
    this.#episode = episode;
    this.#actions = actions;
    this.#message = message;
    this.#carry = carry;
  }

  get outcome(): EpisodeOutcome {
    return (this.#outcome ??= this.#readOutcome());
  }
  get actions(): number {
    return this.#actions.length;
  }
  get scheduled(): readonly ScheduledTask[] {
    return (this.#scheduled ??= Object.freeze(this.#readScheduled()));
  }
  get timers(): readonly CreatedTimer[] {
    return timersOf(this.#actions);
  }
  get sent(): readonly SentMessage[] {
    return (this.#sent ??= Object.freeze(sentBy(this.#actions)));
  }
  get continuation(): Continuation | undefined {
    return continuationOf(this.#actions);
  }

  persistSpan(spanId: string, startTime: Date): void {
    const message = this.#message;
    if (!isSpanId(spanId))
      throw new TypeError("persistSpan: spanId must have 16 hexadecimal digits in lower case, not all of them 0.");
    if (Number.isNaN(startTime.getTime())) throw new TypeError("persistSpan: startTime must be a valid date.");
    message?.setOrchestrationtracecontext(orchestrationTraceContextMessage(message, spanId, startTime));
  }

  #readOutcome(): EpisodeOutcome {
    const outcome = outcomeOf(this.#actions, this.#episode.history);
    return outcome.status === "failed"
      ? { ...outcome, failure: withThrown(outcome.failure, this.#episode.thrown) }
      : outcome;
  }

  #readScheduled(): readonly ScheduledTask[] {
    const { host, orchestrationContext } = this.#episode;
    if (orchestrationContext !== undefined && !checkedFor.has(host)) {
      checkedFor.add(host);
      const lost = lostInternals(orchestrationContext, contextInternals);
      const lostRetries = lostInternals(orchestrationContext, retries);
      const hasRetries = lostRetries.length < retries.length;
      reportLost(host, "The context of an orchestration", hasRetries ? [...lost, ...lostRetries] : lost);
    }
    return scheduledBy(this.#actions, orchestrationContext, this.#carry);
  }
}

const contextInternals = Object.values(orchestrationContextInternals);
const retries = Object.values(retryInternals);
// A worker's contexts are all of one class.
const checkedFor = new WeakSet<WorkItemHost>();

/** An activity, read from the protocol's message when a member is asked for. */
export class ProtoActivity extends ActivityExecution {
  readonly #request: ActivityRequest;
  /** What failed the activity, if that is no error and the SDK does not record what it is. */
  thrown: Thrown | undefined;
  #tags: Readonly<Record<string, string>> | undefined;
  #traceContext: TraceContext | undefined | null = null;

  constructor(request: ActivityRequest, host: WorkItemHost) {
    super(host);
    this.#request = request;
  }

  get name(): string {
    return this.#request.getName();
  }
  get instanceId(): string {
    return this.#request.getOrchestrationinstance()?.getInstanceid() ?? "";
  }
  get executionId(): string | undefined {
    return this.#request.getOrchestrationinstance()?.getExecutionid()?.getValue() || undefined;
  }
  get taskId(): number {
    return this.#request.getTaskid();
  }
  get version(): string | undefined {
    return this.#request.getVersion()?.getValue() || undefined;
  }
  get tags(): Readonly<Record<string, string>> {
    return (this.#tags ??= tagsOf(this.#request.getTagsMap?.()));
  }
  get rawInput(): string | undefined {
    return this.#request.getInput()?.getValue() || undefined;
  }
  get traceContext(): TraceContext | undefined {
    if (this.#traceContext === null) this.#traceContext = traceContextOf(this.#request.getParenttracecontext?.());
    return this.#traceContext;
  }

  takeTraceContexts(): void {
    // Read before it is gone.
    if (this.traceContext !== undefined) this.#request.setParenttracecontext?.(undefined);
  }
}

/** Something that was thrown and is no error, which an SDK records nothing but the class of. */
export interface Thrown {
  readonly message: string;
}

function withThrown(failure: TaskFailure, thrown: Thrown | undefined): TaskFailure {
  return thrown === undefined ? failure : { ...failure, message: thrown.message };
}

/** What an activity answers. */
export class ProtoActivityResponse implements ActivityResponse {
  readonly #response: ActivityResponseMessage;
  readonly #thrown: Thrown | undefined;
  #outcome: ActivityOutcome | undefined;

  constructor(response: ActivityResponseMessage, thrown?: Thrown) {
    this.#response = response;
    this.#thrown = thrown;
  }

  get outcome(): ActivityOutcome {
    return (this.#outcome ??= this.#response.hasFailuredetails()
      ? { status: "failed", failure: withThrown(failureOf(this.#response.getFailuredetails()), this.#thrown) }
      : { status: "completed" });
  }
}

type ParentMessage = ReturnType<ExecutionStartedEvent["getParentinstance"]>;

function parentOf(parent: ParentMessage): ParentOrchestration | undefined {
  if (parent === undefined) return undefined;
  const instance = parent.getOrchestrationinstance();
  return {
    instanceId: instance?.getInstanceid() ?? "",
    executionId: instance?.getExecutionid()?.getValue() || undefined,
    name: parent.getName()?.getValue(),
    taskId: parent.getTaskscheduledid(),
  };
}
