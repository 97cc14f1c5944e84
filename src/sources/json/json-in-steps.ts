import { setImmediate } from 'node:timers/promises';
import { type Json, parseExactJson, type ParseOptions } from './exact-json.ts';
import { PieceReader } from './json-pieces.ts';

/** Characters that are parsed within a few milliseconds, so that timers and answers are hardly delayed. */
const stepLength = 64 * 1024;

/** Whether the text takes more than one step. */
export const isLong = (text: string): boolean => text.length > stepLength;

/** Same contract as `parseExactJson`, but parses a long text in steps, between which other work can run. */
export async function parseInSteps(text: string, options: ParseOptions = {}): Promise<Json> {
  const steps = jsonSteps(text, { ...options, length: stepLength });
  for (;;) {
    // Also before the first step, because decoding the long text has taken time already.
    // oxlint-disable-next-line no-await-in-loop -- lets other work run between two steps
    await setImmediate();
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * The same as a generator: each `next` scans `length` more characters and parses about as many. A string or number is
 * never split, so it may make one step longer.
 */
export function* jsonSteps(
  text: string,
  { length, ...options }: ParseOptions & { length: number },
): Generator<void, Json> {
  if (text.length <= length) return parseExactJson(text, options);
  const reader = new PieceReader(text, { ...options, length });
  while (reader.readNext()) yield;
  return reader.end();
}
