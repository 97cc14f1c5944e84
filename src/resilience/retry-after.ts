import { type AnswerHeaders, dateOf, headerText, serverTime, untilReset } from './server-time.ts';

export type { AnswerHeaders } from './server-time.ts';

export interface RetryAfterOptions {
  /** Epoch milliseconds, for answers without a `Date`; by default `Date.now()`. */
  wallNow?: number;
  /** Whether resets count too: say so for an answer that is about a limit. They stand on many healthy answers as well. */
  resets?: boolean;
}

const resetHeaders = ['ratelimit-reset', 'x-ratelimit-reset', 'x-rate-limit-reset'];

/**
 * Milliseconds the server asks to wait from now on, undefined when it does not say.
 * `Retry-After` (RFC 9110, 10.2.3) wins over `RateLimit-Reset` and its older spellings. Dates are read against the
 * answer's own `Date`, so the two machines' clocks may differ.
 */
export function retryAfter(
  headers: AnswerHeaders,
  { wallNow = Date.now(), resets = false }: RetryAfterOptions = {},
): number | undefined {
  const serverNow = serverTime(headers, wallNow);
  const asked = headerText(headers['retry-after']);
  if (asked !== undefined) {
    if (/^\d+(\.\d+)?$/.test(asked)) return Number(asked) * 1000;
    const at = dateOf(asked);
    if (at !== undefined) return Math.max(0, at - serverNow);
  }
  if (!resets) return undefined;
  for (const name of resetHeaders) {
    const wait = untilReset(headerText(headers[name]), serverNow);
    if (wait !== undefined) return wait;
  }
  const structured = /(?:^|[;,\s])(?:t|reset)=(\d+)/.exec(headerText(headers['ratelimit']) ?? '');
  return structured ? untilReset(structured[1], serverNow) : undefined;
}
