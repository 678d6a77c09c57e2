/** The name of an orchestration or activity middleware, with its function. */
export interface Stage<TFunction> {
  readonly name: string;
  readonly run: TFunction;
}
