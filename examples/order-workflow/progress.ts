import type { StructuredLogger } from "@microsoft/durabletask-js";
import { styleText } from "node:util";

/** The demo's logger: a line for each message, with the time since the start and the orchestration's instance ID. */
export class ProgressLog implements StructuredLogger {
  readonly #start = performance.now();

  error(message: string, instanceId?: unknown): void {
    this.#write("red", message, instanceId);
  }

  warn(message: string, instanceId?: unknown): void {
    this.#write("yellow", message, instanceId);
  }

  info(message: string, instanceId?: unknown): void {
    this.#write("none", message, instanceId);
  }

  debug(): void {}

  /** The SDK's own log events (connections, episodes) come here; the demo has no use for them. */
  logEvent(): void {}

  #write(format: "red" | "yellow" | "none", message: string, instanceId: unknown): void {
    const time = `${((performance.now() - this.#start) / 1000).toFixed(2)} s`.padStart(8);
    const instance = typeof instanceId === "string" ? instanceId : "";
    console.log(`${styleText("dim", time)}  ${styleText("cyan", instance.padEnd(18))}  ${styleText(format, message)}`);
  }
}
