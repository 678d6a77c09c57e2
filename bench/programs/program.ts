import { fork, type Serializable } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** A program of this folder, which runs in a process of its own and answers one question after the other. */
export interface Program<Question, Answer> extends AsyncDisposable {
  ask(question: Question): Promise<Answer>;
}

/**
 * Starts a program.
 *
 * @param name its file, without extension.
 * @param flags of Node.js.
 * @throws Error if it ends before it has answered.
 */
export async function startProgram<Question extends Serializable, Answer>(
  name: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<Program<Question, Answer>> {
  const child = fork(join(import.meta.dirname, `${name}.ts`), args, { execArgv: ["--expose-gc", ...flags] });
  const ended = once(child, "exit").then(([code, signal]) => {
    throw new Error(`The program ${name} ended with ${code ?? signal}.`);
  });
  const answer = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, "message"), ended])) as [{ readonly answer?: unknown }];
    return message.answer;
  };
  // It sends a message once it is ready.
  await answer();
  return {
    ask: async (question) => {
      child.send(question);
      return (await answer()) as Answer;
    },
    [Symbol.asyncDispose]: async () => {
      const exit = ended.catch(() => undefined);
      child.disconnect();
      await exit;
    },
  };
}

/** In a program: answers each question from now on. The process ends with the one that started it. */
export function answerQuestions(answer: (question: never) => unknown): void {
  process.on("message", async (question) => process.send?.({ answer: await answer(question as never) }));
  process.on("disconnect", () => process.exit(0));
  process.send?.({});
}
