/**
 * A wait of the orchestration's code for an external event. History does not record that a wait began, so it is known only
 * while the code runs or replays.
 */
export interface EventWait {
  /** The name of the event, as the code gave it. */
  readonly name: string;
  /** The number of the wait among all of the execution, from 0. */
  readonly ordinal: number;
  /** Which event of that name answers it: the first is 0. */
  readonly eventIndex: number;
  /** The durable time at which the wait began; `undefined` if the backend keeps no timestamps. */
  readonly beganAt: Date | undefined;
  /** Whether it began in this episode, and not in an earlier one. */
  readonly isNew: boolean;
  /** The durable time at which the code stopped waiting for it, because another task of the same `whenAny` or `whenAll` decided that. */
  readonly lostAt: Date | undefined;
}

/** A timer that the orchestration's code created. */
export interface TimerWait {
  readonly taskId: number;
  /** Like {@link EventWait.lostAt}. */
  readonly lostAt: Date | undefined;
  /** The durable time at which the code canceled it. */
  readonly canceledAt: Date | undefined;
}

/** A task with a retry policy or handler whose failure was its last, though another attempt was possible. */
export interface GivenUpTask {
  readonly taskId: number;
  /** How many attempts there were. */
  readonly attempts: number;
  /** The durable time at which that was decided; `undefined` if the backend keeps no timestamps. */
  readonly at: Date | undefined;
}

/** What the code of one episode waits for, and what it stopped waiting for in this episode. */
export interface ObservedWaits {
  /** The waits that no event has answered. */
  readonly openEvents: Iterable<EventWait>;
  /** The waits that an event answered in this episode, in order; one that was answered at once is not among them. */
  readonly answeredEvents: readonly EventWait[];
  /** The timers that the code canceled in this episode. */
  readonly canceledTimers: readonly TimerWait[];
  /** The tasks that could have been retried, and that it was decided in this episode not to retry. */
  readonly givenUpTasks: readonly GivenUpTask[];
  /** Whether there may be timers that have not fired, those of retries included. */
  readonly hasTimers: boolean;
  /** The timer with this ID, if the code created it in this episode or in its replay. */
  timer(taskId: number): TimerWait | undefined;
  /** The number of the attempt that the task with this ID is, if it is one after the first. */
  attempt(taskId: number): number | undefined;
  /** The IDs of the timers, activities and sub-orchestrations that are outstanding; `undefined` if that is unknown. */
  readonly outstanding: readonly number[] | undefined;
}
