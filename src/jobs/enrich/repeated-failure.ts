import { RequestError } from '../../sources/api/request-error.ts';
import type { EarlierFailure } from '../../ledger/planned-contract.ts';

/** A report names no more records than this. */
const mostKept = 100_000;

/**
 * The contracts whose lookup failed in this run while its API answered others. In an outage an API answers nobody, and
 * then a second failure says as little about the record as the first.
 */
export class FailedAlone {
  readonly #keys = new Set<string>();

  add(key: string): void {
    if (this.#keys.size < mostKept) this.#keys.add(key);
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }
}

/** The way to the API or its limits are at fault, whichever record was asked for. */
const neverTheRecord = new Set([
  'RATE_LIMITED',
  'CONNECTION_REFUSED',
  'CONNECTION_FAILED',
  'CONNECT_TIMEOUT',
  'HOST_UNREACHABLE',
  'DNS_UNAVAILABLE',
  'DNS_NOT_FOUND',
]);

/**
 * Whether it is this record that the API cannot serve: it failed again in the same way, at another time, while others were
 * answered. Asking once more would bring the same.
 */
export function isOfRecord(
  error: unknown,
  { lookup, earlier, alone }: { lookup: string; earlier: EarlierFailure | undefined; alone: boolean },
): boolean {
  if (!earlier || !(error instanceof RequestError) || error.class !== 'transient' || error.retryAt !== undefined)
    return false;
  if (neverTheRecord.has(error.code)) return false;
  const same =
    earlier.lookup === lookup && earlier.code === error.code && earlier.httpStatus === (error.httpStatus ?? null);
  // What was found once holds as long as nothing changes: a rerun may ask for this record alone.
  return same && (alone || error.answeredOthers || earlier.advice === 'fix-record');
}
