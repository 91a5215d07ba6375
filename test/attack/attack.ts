// One misuse of a public call, and whether it was answered as it has to be.
import { DpmError, dpmErrorCodes } from '../../lib/index.js';
import { hostileValues, ownError } from './hostile-values.js';

/** A public call with arguments that it accepts. */
export interface PublicCall {
  name: string;
  args: readonly unknown[];
  /** Names in an argument, by its position, that the call does not tell where it is given an unknown one. */
  options?: Readonly<Record<number, readonly string[]>>;
  call(...args: unknown[]): unknown;
}

/** Milliseconds after which an answer is a hang. Work that is asked for takes its time on a busy machine: 1000 evaluations, say. */
const PATIENCE = 30_000;

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Lists the options of an argument as the call itself tells them, from the table by which it refuses others. */
export async function optionsTold(call: PublicCall, position: number): Promise<string[]> {
  const { args } = call;
  try {
    await call.call(...args.with(position, { ...(args[position] as object), unheardOf: 1 }));
    return [];
  } catch (error) {
    const [, names = ''] = /has no option 'unheardOf'.*; its options: (.*)$/.exec((error as Error).message) ?? [];
    return names.split(', ').filter((name) => name !== '');
  }
}

/** The call with all options of its arguments by their names. */
export async function withOptionNames(call: PublicCall): Promise<PublicCall> {
  const options: Record<number, readonly string[]> = { ...call.options };
  for (const [position, value] of call.args.entries()) {
    if (isPlain(value)) options[position] = [...(options[position] ?? []), ...(await optionsTold(call, position))];
  }
  return { ...call, options };
}

/** Replaces every argument, every option and a new one by every hostile value, one at a time. */
export function* misuses({ name, args, options = {} }: PublicCall): Generator<{ what: string; args: unknown[] }> {
  for (const [position, valid] of args.entries()) {
    for (const [label, value] of hostileValues()) {
      yield { what: `${name}: argument ${position} is ${label}`, args: args.with(position, value) };
    }
    if (!isPlain(valid)) continue;
    const names = [...new Set([...Object.keys(valid), ...(options[position] ?? []), 'unheardOf'])];
    for (const option of names) {
      for (const [label, value] of hostileValues()) {
        yield { what: `${name}: ${option} is ${label}`, args: args.with(position, { ...valid, [option]: value }) };
      }
    }
  }
}

function problemOf(error: unknown): string | null {
  if (error === ownError) return null;
  if (!(error instanceof DpmError))
    return `a raw ${error instanceof Error ? (error.stack ?? error.name) : String(error)}`;
  if (error.code === 'ERR_DPM_INTERNAL' || !dpmErrorCodes.includes(error.code))
    return `${error.code}: ${error.message}`;
  if (/[\r\n]/.test(error.message)) return `a message of several lines: ${JSON.stringify(error.message.slice(0, 200))}`;
  if (error.message.length > 2000) return `a message of ${error.message.length} characters`;
  return null;
}

/** Describes the error in the answer to a misuse; null: it was refused with a code of ours, or done. */
export async function answerOf(call: PublicCall, args: readonly unknown[]): Promise<string | null> {
  const started = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      resolve('no answer');
    }, PATIENCE);
  });
  const answer = (async () => {
    try {
      await call.call(...args);
      return null;
    } catch (error) {
      return problemOf(error);
    }
  })();
  const problem = await Promise.race([answer, patience]);
  clearTimeout(timer);
  const seconds = (performance.now() - started) / 1000;
  // A blocked event loop delays the timer as well.
  return problem ?? (seconds > PATIENCE / 1000 ? `an answer after ${seconds.toFixed(1)} s` : null);
}
