import { type AnswerHeaders, dateOf, furthestWait, headerText, serverTime, untilReset } from './server-time.ts';

export type { AnswerHeaders } from './server-time.ts';

export interface RetryAfterOptions {
  /** Epoch milliseconds, for answers without a `Date`; by default `Date.now()`. */
  wallNow?: number;
  /** Whether to read reset headers too. Only for an answer about a limit, because many good answers carry them as well. */
  resets?: boolean;
}

const resetHeaders = ['ratelimit-reset', 'x-ratelimit-reset', 'x-rate-limit-reset'];

/**
 * Milliseconds the server asks to wait from now; undefined when it does not say. A wait of more than 24 hours (an epoch
 * time, another unit) is ignored; `nonsenseRetryAfter` gives it for a message.
 * `Retry-After` (RFC 9110, 10.2.3) wins over `RateLimit-Reset` and its older spellings. Dates are compared with the
 * answer's `Date`, because the two machines' clocks may differ. Libraries for Retry-After read only its own two forms.
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

/** The text of a `Retry-After` that is more than 24 hours away or cannot be read. */
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
