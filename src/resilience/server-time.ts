/** An answer's headers, by lower-case name; of a `fetch` answer: `Object.fromEntries(response.headers)`. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Milliseconds; a longer wait is taken for an error, for example of the unit. */
export const furthestWait = 24 * 3_600_000;

/** The server's clock in epoch milliseconds, from its `Date`, because the two machines' clocks may differ. */
export function serverTime(headers: AnswerHeaders, wallNow: number): number {
  return dateOf(headers['date']) ?? wallNow;
}

/**
 * Milliseconds until a reset; undefined when the value is not a time. Its size decides whether it means seconds from now,
 * epoch seconds or epoch milliseconds, because no window is 30 years long.
 */
export function untilReset(value: string | undefined, serverNow: number): number | undefined {
  if (value === undefined || !/^\d+(\.\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  const wait = number > 1e11 ? number - serverNow : number > 1e9 ? number * 1000 - serverNow : number * 1000;
  return wait > furthestWait || wait < -furthestWait ? undefined : Math.max(0, wait);
}

/** The header's text; the first one when the header occurs several times. */
export function headerText(header: string | string[] | undefined): string | undefined {
  return (Array.isArray(header) ? header[0] : header)?.trim();
}

/** Epoch milliseconds of an HTTP date. */
export function dateOf(header: string | string[] | undefined): number | undefined {
  // Date.parse also accepts bare numbers, as years; an HTTP date contains the name of a month.
  const value = headerText(header);
  if (value === undefined || !/[A-Za-z]{3}/.test(value)) return undefined;
  const time = Date.parse(value);
  return Number.isNaN(time) ? undefined : time;
}
