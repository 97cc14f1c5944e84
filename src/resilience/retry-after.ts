import { type AnswerHeaders, dateOf, furthestWait, headerText, serverTime, untilReset } from './server-time.ts';

export type { AnswerHeaders } from './server-time.ts';

export interface RetryAfterOptions {
  /** Epoch milliseconds, for answers without a `Date`; by default `Date.now()`. */
  wallNow?: number;
  /** Whether resets count too: say so for an answer that is about a limit. They stand on many healthy answers as well. */
  resets?: boolean;
}

const resetHeaders = ['ratelimit-reset', 'x-ratelimit-reset', 'x-rate-limit-reset'];

/**
 * Milliseconds the server asks to wait from now on, undefined when it does not say. What lies beyond 24 hours is nonsense
 * (an epoch time, another unit) and says nothing: `nonsenseRetryAfter` gives it for a message.
 * `Retry-After` (RFC 9110, 10.2.3) wins over `RateLimit-Reset` and its older spellings. Dates are read against the
 * answer's own `Date`, so the two machines' clocks may differ.
 */
export function retryAfter(
  headers: AnswerHeaders,
  { wallNow = Date.now(), resets = false }: RetryAfterOptions = {},
): number | undefined {
  const serverNow = serverTime(headers, wallNow);
  const asked = askedWait(headers, serverNow);
  if (asked !== undefined && asked <= furthestWait) return asked;
  if (!resets) return undefined;
  for (const name of resetHeaders) {
    const wait = untilReset(headerText(headers[name]), serverNow);
    if (wait !== undefined) return wait;
  }
  const structured = /(?:^|[;,\s])(?:t|reset)=(\d+)/.exec(headerText(headers['ratelimit']) ?? '');
  return structured ? untilReset(structured[1], serverNow) : undefined;
}

/** The text of a `Retry-After` that names a time further away than 24 hours, or none that can be read. */
export function nonsenseRetryAfter(headers: AnswerHeaders, { wallNow = Date.now() } = {}): string | undefined {
  const text = headerText(headers['retry-after']);
  if (text === undefined) return undefined;
  const asked = askedWait(headers, serverTime(headers, wallNow));
  return asked === undefined || asked > furthestWait ? text : undefined;
}

function askedWait(headers: AnswerHeaders, serverNow: number): number | undefined {
  const asked = headerText(headers['retry-after']);
  if (asked === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(asked)) return Number(asked) * 1000;
  const at = dateOf(asked);
  return at === undefined ? undefined : Math.max(0, at - serverNow);
}
