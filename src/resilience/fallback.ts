import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';

/** A value that was good once. */
export interface LastKnown<T> {
  value: T;
  /** Epoch milliseconds: when the source gave it. */
  asOf: number;
}

/** A value and where it is from, so that whoever uses it can say so. */
export type Sourced<T> =
  | { source: 'primary'; value: T }
  | {
      source: 'last-known';
      value: T;
      /** Epoch milliseconds. */ asOf: number;
      /** Why not the primary. */ reason: unknown;
    };

export interface FallbackOptions<T> {
  /** Reads the last known value; undefined when there is none. Called only when the primary failed. */
  lastKnown: () => Promise<LastKnown<T> | undefined>;
  /** Milliseconds the last known value may be old, on the wall clock; Infinity without a bound. */
  maxAge: number;
  /** Which failures it stands in for; by default all but an abort. An open breaker is a failure too. */
  fallbackIf?: (error: unknown) => boolean;
  clock?: Clock;
}

/**
 * The primary's value, or the last known one when the primary fails. Throws the primary's error when nothing is known or
 * it is too old; when the last known value cannot be read, an error with both as causes.
 */
export async function withLastKnown<T>(
  primary: () => Promise<T>,
  { lastKnown, maxAge, fallbackIf = isNoAbort, clock = systemClock }: FallbackOptions<T>,
): Promise<Sourced<T>> {
  try {
    return { source: 'primary', value: await primary() };
  } catch (reason) {
    if (!fallbackIf(reason)) throw reason;
    const known = await read(lastKnown, reason);
    if (!known || clock.wallNow() - known.asOf > maxAge) throw reason;
    return { source: 'last-known', value: known.value, asOf: known.asOf, reason };
  }
}

async function read<T>(lastKnown: FallbackOptions<T>['lastKnown'], reason: unknown): Promise<LastKnown<T> | undefined> {
  try {
    return await lastKnown();
  } catch (error) {
    throw new NightfillError({
      code: 'LAST_KNOWN_UNREADABLE',
      class: 'system',
      message:
        'The source failed, and its last known value could not be read either. Check the store of last known values.',
      cause: new AggregateError([reason, error]),
    });
  }
}

function isNoAbort(error: unknown): boolean {
  return !(error instanceof Error && error.name === 'AbortError');
}
