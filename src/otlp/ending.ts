import { settledWithin } from "./settled-within.ts";

/** Telemetry that an {@link Ending} delivers. Nothing of it rejects. */
export interface Endable {
  forceFlush(): Promise<void>;
  /** Delivers and stops, within `timeout` milliseconds. */
  shutdown(timeout: number): Promise<void>;
  /** Has exports end within `timeout` milliseconds. */
  hurry(timeout: number): void;
  /** Takes {@link hurry} back. */
  relax(): void;
}

/** How long nothing must have been waited for until it is clear that the process goes on, in milliseconds. */
const rest = 60_000;

/**
 * Delivers telemetry while a process ends, which may take several steps: a signal, workers that stop, an empty event
 * loop. However many they are, telemetry makes them wait for `timeout` milliseconds altogether (telemetry.md K3).
 */
export class Ending {
  readonly #telemetry: Endable;
  readonly #timeout: number;
  #left: number;
  #waits = 0;
  #since = 0;
  #resting: NodeJS.Timeout | undefined;

  constructor(telemetry: Endable, timeout: number) {
    this.#telemetry = telemetry;
    this.#timeout = timeout;
    this.#left = timeout;
  }

  /** Delivers what there is, in the time that is left. Never rejects. */
  async deliver(): Promise<void> {
    if (this.#timeLeft() > 0) await this.#spend(async (time) => void (await settledWithin(time, this.#telemetry.forceFlush())));
  }

  /** The same, for the last time; some time there is always for that. Never rejects. */
  shutdown(): Promise<void> {
    return this.#spend((time) => this.#telemetry.shutdown(time));
  }

  async #spend(work: (time: number) => Promise<void>): Promise<void> {
    clearTimeout(this.#resting);
    if (this.#waits === 0) this.#since = performance.now();
    this.#waits += 1;
    const time = this.#time();
    this.#telemetry.hurry(time);
    await work(time);
    this.#left = this.#timeLeft();
    this.#since = performance.now();
    this.#waits -= 1;
    if (this.#waits > 0) return;
    // What is exported from now on holds the process too.
    this.#telemetry.hurry(this.#time());
    this.#resting = setTimeout(() => {
      this.#left = this.#timeout;
      this.#telemetry.relax();
    }, rest).unref();
  }

  #time(): number {
    return Math.max(this.#timeLeft(), this.#timeout / 10);
  }

  #timeLeft(): number {
    return this.#waits === 0 ? this.#left : Math.max(0, this.#left - (performance.now() - this.#since));
  }
}
