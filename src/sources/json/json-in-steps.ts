import { setImmediate } from 'node:timers/promises';
import { type Json, parseExactJson, type ParseOptions } from './exact-json.ts';
import { PieceReader } from './json-pieces.ts';

/** Characters that are parsed within a few milliseconds: what waits for its turn meanwhile comes hardly late. */
const stepLength = 64 * 1024;

/** Whether the text takes more than a step. */
export const isLong = (text: string): boolean => text.length > stepLength;

/** The same as `parseExactJson`; a long text is parsed in steps, and between two of them other work has its turn. */
export async function parseInSteps(text: string, options: ParseOptions = {}): Promise<Json> {
  const steps = jsonSteps(text, { ...options, length: stepLength });
  for (;;) {
    // Before the first one too, because to come by a long text took its time as well.
    // oxlint-disable-next-line no-await-in-loop -- lets other work run between two steps
    await setImmediate();
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * The same, a step at each call of `next`, which looks at `length` more characters and parses about as many. A single text
 * or number is never split, and so may make one step longer.
 */
export function* jsonSteps(
  text: string,
  { length, ...options }: ParseOptions & { length: number },
): Generator<void, Json> {
  if (text.length <= length) return parseExactJson(text, options);
  const reader = new PieceReader(text, { ...options, length });
  while (reader.readOn()) yield;
  return reader.end();
}
