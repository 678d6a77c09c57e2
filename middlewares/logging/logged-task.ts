import type { Attributes, Context } from "@opentelemetry/api";
import {
  createMiddlewareFeature,
  type MiddlewareContext,
  type MiddlewareFeature,
  type WorkItem,
} from "../../src/pipeline/index.ts";
import { contextOfTask, identityAttributes } from "./correlation.ts";
import type { LogEvent } from "./events.ts";
import type { LoggingOptions } from "./options.ts";
import { outputAttribute } from "./payloads.ts";
import { isReceived, write, type Level } from "./write.ts";

/** The context of a task's code, for the log of its result. */
export const CodeContext: MiddlewareFeature<MiddlewareContext> = createMiddlewareFeature("the context of logged code");

/** Logs the events of one work item, with its identity and its span. */
export abstract class LoggedTask<TItem extends WorkItem> {
  protected readonly item: TItem;
  protected readonly options: LoggingOptions;
  #context: Context | undefined;
  #identity: Attributes | undefined;

  constructor(item: TItem, options: LoggingOptions) {
    this.item = item;
    this.options = options;
  }

  /** Whether anybody receives log entries; if not, none need be created. */
  protected get isReceived(): boolean {
    return isReceived(this.#spanContext, this.options.logger);
  }

  /** Whether anybody receives log entries with this severity. */
  protected receives(level: Level): boolean {
    return isReceived(this.#spanContext, this.options.logger, level);
  }

  /** The output as an attribute; none unless the options ask for it. */
  protected get output(): Attributes {
    return outputAttribute(this.item, this.item.features.get(CodeContext)?.result, this.options);
  }

  protected write({ eventName, level, line, attributes, at }: LogEvent): void {
    this.#identity ??= identityAttributes(this.item, this.options.tags);
    write(
      { eventName, level, line, at, attributes: { ...this.#identity, ...attributes }, context: this.#spanContext },
      this.options.logger,
    );
  }

  get #spanContext(): Context {
    return (this.#context ??= contextOfTask(this.item));
  }
}
