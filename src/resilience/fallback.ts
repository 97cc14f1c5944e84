import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';

/** An earlier value of the source. */
export interface LastKnown<T> {
  value: T;
  /** Epoch milliseconds: when the source gave it. */
  asOf: number;
}

/** A value and its origin. */
export type Sourced<T> =
  | { source: 'primary'; value: T }
  | {
      source: 'last-known';
      value: T;
      /** Epoch milliseconds. */ asOf: number;
      /** The primary's error. */ reason: unknown;
    };

export interface FallbackOptions<T> {
  /** Reads the last known value; undefined when there is none. Called only after the primary failed. */
  lastKnown: () => Promise<LastKnown<T> | undefined>;
  /** Greatest age of the last known value in milliseconds, by the wall clock; Infinity for no limit. */
  maxAge: number;
  /** Failures for which the last known value is used. Default: all except an abort; an open breaker counts as a failure. */
  fallbackIf?: (error: unknown) => boolean;
  clock?: Clock;
}

/**
 * The primary's value, or the last known value when the primary fails. Throws the primary's error when there is no last
 * known value or it is too old; throws LAST_KNOWN_UNREADABLE with both causes when it cannot be read.
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
