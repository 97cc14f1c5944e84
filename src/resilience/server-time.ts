/** An answer's headers, by lower-case name; of a `fetch` answer: `Object.fromEntries(response.headers)`. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Milliseconds; a time further away is taken for a misunderstanding, for example of a unit. */
export const furthestWait = 24 * 3_600_000;

/** Epoch milliseconds at the server as its `Date` says, so that the two machines' clocks may differ. */
export function serverTime(headers: AnswerHeaders, wallNow: number): number {
  return dateOf(headers['date']) ?? wallNow;
}

/**
 * Milliseconds until a reset, undefined for what is none. Reads it as seconds from now, epoch seconds or epoch
 * milliseconds, by its size: no window is 30 years long.
 */
export function untilReset(value: string | undefined, serverNow: number): number | undefined {
  if (value === undefined || !/^\d+(\.\d+)?$/.test(value)) return undefined;
  const number = Number(value);
  const wait = number > 1e11 ? number - serverNow : number > 1e9 ? number * 1000 - serverNow : number * 1000;
  return wait > furthestWait || wait < -furthestWait ? undefined : Math.max(0, wait);
}

/** The first of a header that came several times. */
export function headerText(header: string | string[] | undefined): string | undefined {
  return (Array.isArray(header) ? header[0] : header)?.trim();
}

/** Epoch milliseconds of an HTTP date. */
export function dateOf(header: string | string[] | undefined): number | undefined {
  // Date.parse reads bare numbers and much else as a year; an HTTP date names a month.
  const value = headerText(header);
  if (value === undefined || !/[A-Za-z]{3}/.test(value)) return undefined;
  const time = Date.parse(value);
  return Number.isNaN(time) ? undefined : time;
}
