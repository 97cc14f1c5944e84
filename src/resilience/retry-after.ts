/** An answer's headers, by lower-case name; of a `fetch` answer: `Object.fromEntries(response.headers)`. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface RetryAfterOptions {
  /** Epoch milliseconds, for answers without a `Date`; by default `Date.now()`. */
  wallNow?: number;
  /** Whether resets count too: say so for an answer that is about a limit. They stand on many healthy answers as well. */
  resets?: boolean;
}

/** A reset further away than this is taken for a misunderstanding, for example of a unit. */
const furthestReset = 24 * 3_600_000;

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
  const serverNow = dateOf(headers['date']) ?? wallNow;
  const asked = text(headers['retry-after']);
  if (asked !== undefined) {
    if (/^\d+(\.\d+)?$/.test(asked)) return Number(asked) * 1000;
    const at = dateOf(asked);
    if (at !== undefined) return Math.max(0, at - serverNow);
  }
  if (!resets) return undefined;
  for (const name of resetHeaders) {
    const wait = untilReset(text(headers[name]), serverNow);
    if (wait !== undefined) return wait;
  }
  const structured = /(?:^|[;,\s])(?:t|reset)=(\d+)/.exec(text(headers['ratelimit']) ?? '');
  return structured ? untilReset(structured[1], serverNow) : undefined;
}

/** Reads a reset as seconds from now, epoch seconds or epoch milliseconds, by its size: no window is 30 years long. */
function untilReset(value: string | undefined, serverNow: number): number | undefined {
  if (value === undefined || !/^\d+(\.\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  const wait = number > 1e11 ? number - serverNow : number > 1e9 ? number * 1000 - serverNow : number * 1000;
  return wait > furthestReset || wait < -furthestReset ? undefined : Math.max(0, wait);
}

function text(header: string | string[] | undefined): string | undefined {
  return (Array.isArray(header) ? header[0] : header)?.trim();
}

function dateOf(header: string | string[] | undefined): number | undefined {
  // Date.parse reads bare numbers and much else as a year; an HTTP date names a month.
  const value = text(header);
  if (value === undefined || !/[A-Za-z]{3}/.test(value)) return undefined;
  const time = Date.parse(value);
  return Number.isNaN(time) ? undefined : time;
}
