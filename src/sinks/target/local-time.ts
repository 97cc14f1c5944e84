/** A moment in the local date and time of a time zone, as texts that Postgres reads. */
export interface LocalTime {
  date: string;
  /** With the fraction of a second as it was given. */
  time: string;
  /** ` BC`, which Postgres expects at the end; otherwise empty. */
  era: string;
}

const clock = String.raw`(?<hour>\d{1,2}):(?<minute>\d{2})(?::(?<second>\d{2})(?<fraction>\.\d+)?)?`;
const offset = String.raw`\s*(?<offset>Z|UTC|GMT|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)\s*$`;

/** ISO 8601 as Postgres reads it, its basic form, and the dates of mail and HTTP. */
const forms = [
  String.raw`(?<year>\d{4,6})[-/](?<month>\d{1,2})[-/](?<day>\d{1,2})(?:T|\s+)${clock}`,
  String.raw`(?<year>\d{4})(?<month>\d{2})(?<day>\d{2})T(?<hour>\d{2})(?<minute>\d{2})(?:(?<second>\d{2})(?<fraction>\.\d+)?)?`,
  String.raw`(?:[a-z]{3,9},?\s+)?(?<day>\d{1,2})[-\s]+(?<name>[a-z]{3})[-\s]+(?<year>\d{4})\s+${clock}`,
].map((form) => new RegExp(String.raw`^\s*${form}${offset}`, 'i'));

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** A time of day followed by a sign or a word other than am, pm, an era or part of a date. */
const followedByZone =
  /\d:\d{2}(?::\d{2}(?:\.\d*)?)?\s*(?:[ap]m\s*)?(?:[+-]\d|(?![ap]m\b|ad\b|bc\b|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun)[a-z])/i;

/**
 * The local date and time in the time zone, for a text with a time and an offset. Undefined for a text without a time or
 * without an offset, and for an invalid time, which Postgres refuses. Throws UnreadableOffset for an offset or a zone's name
 * in another form, because Postgres would ignore it.
 */
export function localTime(text: string, timezone: string): LocalTime | undefined {
  // Most texts of such columns are plain dates.
  if (!text.includes(':') && !/t\d/i.test(text)) return undefined;
  const parts = partsOf(text);
  if (!parts) {
    if (followedByZone.test(text)) throw new UnreadableOffset();
    return undefined;
  }
  const { year, month, day, hour, minute, second, fraction } = parts;
  // Intl is reliable up to the year 9999; later, calendar and zone rules repeat every 400 years.
  const shift = year > 9_999 ? Math.floor((year - 9_600) / 400) * 400 : 0;
  const moment = new Date(0);
  moment.setUTCFullYear(year - shift, month - 1, day);
  const isDay = moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day;
  const midnight = hour === 24 && minute === 0 && second === 0 && !/[1-9]/.test(fraction);
  const isTime = (hour < 24 || midnight) && minute < 60 && second <= 60;
  if (year === 0 || !isDay || !isTime || parts.offset === undefined) return undefined;
  moment.setUTCHours(hour, minute, second - parts.offset);
  moment.setUTCSeconds(moment.getUTCSeconds() + offsetAt(moment, timezone));
  const shown = moment.getUTCFullYear() + shift;
  const two = (value: number): string => String(value).padStart(2, '0');
  return {
    date: `${String(shown > 0 ? shown : 1 - shown).padStart(4, '0')}-${two(moment.getUTCMonth() + 1)}-${two(moment.getUTCDate())}`,
    time: `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}:${two(moment.getUTCSeconds())}${fraction}`,
    era: shown > 0 ? '' : ' BC',
  };
}

export class UnreadableOffset extends Error {}

function partsOf(text: string) {
  const found = forms.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined);
  if (!found) return undefined;
  const { year, month, name = '', day, hour, minute, second = 0, fraction = '', offset: written = '' } = found;
  return {
    year: Number(year),
    // 0 for an unknown name, which makes the date invalid.
    month: Number(month ?? months.indexOf(name.toLowerCase()) + 1),
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    fraction,
    offset: secondsOf(written),
  };
}

/** Seconds to the east; undefined beyond the range of Postgres. */
function secondsOf(written: string): number | undefined {
  const [, sign, hours = 0, minutes = 0, seconds = 0] = /^([+-])(\d\d):?(\d\d)?:?(\d\d)?$/.exec(written) ?? [];
  if (sign === undefined) return 0;
  if (Number(hours) > 15 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds));
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Seconds to the east of Greenwich at the moment. An offset is exact; a local time may occur twice or not at all. */
function offsetAt(moment: Date, timezone: string): number {
  let format = formats.get(timezone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', { timeZone: timezone, timeZoneName: 'longOffset' });
    formats.set(timezone, format);
  }
  // Such as `11/21/2026, GMT+01:00`, and GMT alone for none.
  return secondsOf(/GMT(.*)$/.exec(format.format(moment))?.[1] ?? '') ?? 0;
}
