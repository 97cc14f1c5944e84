import { RequestError } from '../../sources/api/request-error.ts';
import type { EarlierFailure } from '../../ledger/planned-contract.ts';

/** Most keys kept, to bound memory. */
const mostKept = 100_000;

/**
 * The contracts whose lookup failed in this run while its API answered others. During an outage the API answers no
 * request, so a second failure then says as little about the record as the first.
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

/** Codes caused by the network or the API's limits, never by the record. */
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
 * Whether the record itself is the cause: it failed again in the same way, at another time, while the API answered others.
 * Another request would fail alike.
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
  // An earlier `fix-record` still holds, because a rerun may ask for this record alone, with no others to be answered.
  return same && (alone || error.answeredOthers || earlier.advice === 'fix-record');
}
