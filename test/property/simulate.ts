/** A task hub small enough to be deterministic: it makes each work item from the last response, with a clock of its own. */
import pb from "@microsoft/durabletask-js/dist/proto/orchestrator_service_pb.js";
import * as fc from "fast-check";
import { at, orchestratorRequest, startEvents, text } from "../worker/requests.ts";
import type { Program } from "./programs.ts";

/** Runs one work item; gets and returns protobuf messages as bytes. */
export type RunEpisode = (request: Uint8Array) => Promise<Uint8Array>;

/** What happens to an orchestration from outside, and in what order its tasks finish. */
export interface Fate {
  /** Decides, number by number, what each episode gets. */
  readonly draws: readonly number[];
  /** Whether the backend hands back the trace contexts that it gets, and has execution IDs. */
  readonly carries: boolean;
  /** Whether the recorded name of an activity is wrong, as after a change of the orchestrator's code. */
  readonly changedCode: boolean;
  /** Whether it sends messages to entities as events, as a backend without the entity protocol does. */
  readonly classicEntities: boolean;
}

export const fates: fc.Arbitrary<Fate> = fc.record({
  draws: fc.array(fc.nat({ max: 999 }), { minLength: 1, maxLength: 12 }),
  carries: fc.boolean(),
  changedCode: fc.nat({ max: 9 }).map((draw) => draw === 9),
  classicEntities: fc.boolean(),
});

const mostEpisodes = 40;
const eventNames = ["approval", "cancel", "TICK", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"];

/** Runs `program` to its end; returns how many episodes it took. */
export async function simulate(orchestrator: string, program: Program, fate: Fate, run: RunEpisode): Promise<number> {
  const hub = new Hub(orchestrator, program, fate);
  while (!hub.done) {
    hub.apply(pb.OrchestratorResponse.deserializeBinary(await run(hub.nextRequest().serializeBinary())));
  }
  return hub.episodes;
}

class Hub {
  done = false;
  episodes = 0;
  readonly #name: string;
  readonly #fate: Fate;
  #now = Date.UTC(2030, 0, 1);
  #execution = 1;
  #past: pb.HistoryEvent[] = [];
  #fresh: pb.HistoryEvent[];
  /** What can happen next, in any order. */
  #pending: pb.HistoryEvent[] = [];
  #suspended = false;
  #carried: pb.OrchestrationTraceContext | undefined;
  readonly #attempts = new Map<string, number>();

  constructor(name: string, program: Program, fate: Fate) {
    this.#name = name;
    this.#fate = fate;
    this.#fresh = this.#start(JSON.stringify(program));
  }

  nextRequest(): pb.OrchestratorRequest {
    const executionId = this.#fate.carries ? `execution-${this.#execution}` : undefined;
    return orchestratorRequest(this.#fresh, this.#past, { executionId }).setOrchestrationtracecontext(this.#carried);
  }

  apply(response: pb.OrchestratorResponse): void {
    this.episodes += 1;
    this.#now += 1000;
    this.#past.push(...this.#fresh);
    if (this.#fate.carries) this.#carried = response.getOrchestrationtracecontext();
    for (const action of response.getActionsList()) this.#act(action);
    if (this.done || this.#past.length === 0) return;
    this.#fresh = [this.#event().setOrchestratorstarted(new pb.OrchestratorStartedEvent()), ...this.#happens()];
  }

  #act(action: pb.OrchestratorAction): void {
    const id = action.getId();
    const activity = action.getScheduletask();
    const timer = action.getCreatetimer();
    const child = action.getCreatesuborchestration();
    const sent = action.getSendevent();
    const toEntity = action.getSendentitymessage();
    const complete = action.getCompleteorchestration();
    if (activity !== undefined) {
      const scheduled = new pb.TaskScheduledEvent()
        .setName(this.#fate.changedCode ? `${activity.getName()} before` : activity.getName())
        .setInput(activity.getInput())
        .setParenttracecontext(this.#fate.carries ? activity.getParenttracecontext() : undefined);
      this.#past.push(this.#event(id).setTaskscheduled(scheduled));
      const failure = this.#failureOf(
        `activity ${activity.getName()} ${activity.getInput()?.getValue()}`,
        activity.getName(),
      );
      this.#pending.push(
        failure === undefined
          ? this.#event().setTaskcompleted(
              new pb.TaskCompletedEvent().setTaskscheduledid(id).setResult(activity.getInput()),
            )
          : this.#event().setTaskfailed(new pb.TaskFailedEvent().setTaskscheduledid(id).setFailuredetails(failure)),
      );
    } else if (child !== undefined) {
      const created = new pb.SubOrchestrationInstanceCreatedEvent()
        .setName(child.getName())
        .setInstanceid(child.getInstanceid())
        .setInput(child.getInput())
        .setParenttracecontext(this.#fate.carries ? child.getParenttracecontext() : undefined);
      this.#past.push(this.#event(id).setSuborchestrationinstancecreated(created));
      const failure = this.#failureOf(`child ${child.getName()} ${child.getInput()?.getValue()}`, child.getName());
      this.#pending.push(
        failure === undefined
          ? this.#event().setSuborchestrationinstancecompleted(
              new pb.SubOrchestrationInstanceCompletedEvent().setTaskscheduledid(id).setResult(child.getInput()),
            )
          : this.#event().setSuborchestrationinstancefailed(
              new pb.SubOrchestrationInstanceFailedEvent().setTaskscheduledid(id).setFailuredetails(failure),
            ),
      );
    } else if (timer !== undefined) {
      this.#past.push(this.#event(id).setTimercreated(new pb.TimerCreatedEvent().setFireat(timer.getFireat())));
      this.#pending.push(
        this.#event().setTimerfired(new pb.TimerFiredEvent().setTimerid(id).setFireat(timer.getFireat())),
      );
    } else if (sent !== undefined) {
      const event = new pb.EventSentEvent()
        .setInstanceid(sent.getInstance()?.getInstanceid() ?? "")
        .setName(sent.getName())
        .setInput(sent.getData());
      this.#past.push(this.#event(id).setEventsent(event));
      if (event.getInstanceid() === "instance") this.#pending.push(this.#raised(sent.getName()));
    } else if (toEntity !== undefined) {
      this.#past.push(
        this.#fate.classicEntities
          ? this.#event(id).setEventsent(classicMessage(toEntity))
          : entityEvent(this.#event(id), toEntity),
      );
      const answer = this.#answer(toEntity);
      if (answer !== undefined) this.#pending.push(answer);
    } else if (complete?.getOrchestrationstatus() === pb.OrchestrationStatus.ORCHESTRATION_STATUS_CONTINUED_AS_NEW) {
      this.#execution += 1;
      this.#past = [];
      // Answers of entities come all the same.
      this.#pending = this.#pending.filter(
        (event) => event.hasEventraised() || event.hasEntityoperationcompleted() || event.hasEntitylockgranted(),
      );
      this.#suspended = false;
      this.#carried = undefined;
      this.#fresh = [...this.#start(complete.getResult()?.getValue()), ...complete.getCarryovereventsList()];
    } else if (complete !== undefined) {
      this.done = true;
    } else {
      throw new Error(`The simulation has no action of type ${action.getOrchestratoractiontypeCase()}.`);
    }
  }

  /** One to three of the things that can happen, or something from outside. */
  #happens(): pb.HistoryEvent[] {
    if (this.episodes >= mostEpisodes) return [this.#terminated()];
    const { draws } = this.#fate;
    const draw = draws[this.episodes % draws.length] ?? 0;
    const happening: pb.HistoryEvent[] = [];
    if (draw % 41 === 1) return [this.#terminated()];
    if (draw % 11 === 1 && !this.#suspended) {
      this.#suspended = true;
      happening.push(this.#event().setExecutionsuspended(new pb.ExecutionSuspendedEvent()));
    }
    for (let count = 0; count <= draw % 3 && this.#pending.length > 0; count += 1) {
      happening.push(...this.#pending.splice(draw % this.#pending.length, 1));
    }
    // A backend may deliver something twice.
    if (draw % 13 === 1) happening.push(...happening.slice(-1));
    if (happening.length === 0 || draw % 7 === 1)
      happening.push(this.#raised(eventNames[this.episodes % eventNames.length] ?? ""));
    if (this.#suspended && draw % 2 === 0) {
      this.#suspended = false;
      happening.push(this.#event().setExecutionresumed(new pb.ExecutionResumedEvent()));
    }
    return happening;
  }

  #failureOf(key: string, outcome: string): pb.TaskFailureDetails | undefined {
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    if (outcome === "ok" || (outcome === "flaky" && attempt > 1)) return undefined;
    return new pb.TaskFailureDetails().setErrortype("Error").setErrormessage(`attempt ${attempt} of ${key} failed`);
  }

  #answer(message: pb.SendEntityMessageAction): pb.HistoryEvent | undefined {
    const lock = message.getEntitylockrequested();
    if (lock !== undefined)
      return this.#event().setEntitylockgranted(
        new pb.EntityLockGrantedEvent().setCriticalsectionid(lock.getCriticalsectionid()),
      );
    const call = message.getEntityoperationcalled();
    if (call === undefined) return undefined;
    const id = call.getRequestid();
    const failure = this.#failureOf(
      `entity ${call.getTargetinstanceid()?.getValue()} ${call.getInput()?.getValue()}`,
      call.getOperation(),
    );
    if (this.#fate.classicEntities) {
      const answer =
        failure === undefined
          ? { result: call.getInput()?.getValue() ?? null }
          : {
              result: null,
              exceptionType: failure.getErrormessage(),
              failureDetails: { ErrorType: "Error", ErrorMessage: failure.getErrormessage() },
            };
      return this.#event().setEventraised(new pb.EventRaisedEvent().setName(id).setInput(text(JSON.stringify(answer))));
    }
    return failure === undefined
      ? this.#event().setEntityoperationcompleted(
          new pb.EntityOperationCompletedEvent().setRequestid(id).setOutput(call.getInput()),
        )
      : this.#event().setEntityoperationfailed(
          new pb.EntityOperationFailedEvent().setRequestid(id).setFailuredetails(failure),
        );
  }

  #start(rawInput: string | undefined): pb.HistoryEvent[] {
    const { carries } = this.#fate;
    const start = {
      name: this.#name,
      ...(rawInput === undefined ? {} : { rawInput }),
      ...(carries
        ? {
            executionId: `execution-${this.#execution}`,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          }
        : {}),
    };
    return startEvents(start, new Date(this.#now));
  }

  #raised(name: string): pb.HistoryEvent {
    return this.#event().setEventraised(
      new pb.EventRaisedEvent().setName(name).setInput(text(JSON.stringify({ at: this.episodes }))),
    );
  }

  #terminated(): pb.HistoryEvent {
    return this.#event().setExecutionterminated(new pb.ExecutionTerminatedEvent().setInput(text('"from outside"')));
  }

  #event(id?: number): pb.HistoryEvent {
    return at(new pb.HistoryEvent(), new Date(this.#now), id);
  }
}

function entityEvent(event: pb.HistoryEvent, message: pb.SendEntityMessageAction): pb.HistoryEvent {
  return event
    .setEntityoperationcalled(message.getEntityoperationcalled())
    .setEntityoperationsignaled(message.getEntityoperationsignaled())
    .setEntitylockrequested(message.getEntitylockrequested())
    .setEntityunlocksent(message.getEntityunlocksent());
}

function classicMessage(message: pb.SendEntityMessageAction): pb.EventSentEvent {
  const operation = message.getEntityoperationcalled() ?? message.getEntityoperationsignaled();
  const lock = message.getEntitylockrequested();
  const target =
    operation?.getTargetinstanceid()?.getValue() ??
    lock?.getLocksetList()[0] ??
    message.getEntityunlocksent()?.getTargetinstanceid()?.getValue() ??
    "";
  const input =
    operation === undefined
      ? {
          id: lock?.getCriticalsectionid() ?? message.getEntityunlocksent()?.getCriticalsectionid(),
          ...(lock === undefined ? {} : { lockset: lock.getLocksetList() }),
        }
      : { op: operation.getOperation(), id: operation.getRequestid(), signal: message.hasEntityoperationsignaled() };
  return new pb.EventSentEvent()
    .setInstanceid(target)
    .setName(lock === undefined && operation === undefined ? "release" : "op")
    .setInput(text(JSON.stringify(input)));
}

/** A response without what may differ: trace contexts, and stack traces, which hold the frames of the caller. */
export function comparable(response: Uint8Array): Uint8Array {
  const message = pb.OrchestratorResponse.deserializeBinary(response);
  message.setOrchestrationtracecontext(undefined);
  for (const action of message.getActionsList()) {
    action.getScheduletask()?.setParenttracecontext(undefined);
    action.getCreatesuborchestration()?.setParenttracecontext(undefined);
    for (
      let failure = action.getCompleteorchestration()?.getFailuredetails();
      failure !== undefined;
      failure = failure.getInnerfailure()
    ) {
      failure.setStacktrace(undefined);
    }
  }
  return message.serializeBinary();
}
