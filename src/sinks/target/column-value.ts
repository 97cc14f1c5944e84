import { localTime, UnreadableOffset } from './local-time.ts';

/** A JSON value as the sources deliver it; `JSON.rawJSON` objects carry numbers whose digits a float would change. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | { readonly rawJSON: string }
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

type ColumnKind =
  | 'text'
  | 'integer'
  | 'numeric'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamp'
  | 'json'
  | 'array'
  | 'other';

/** What a column can hold, as far as Postgres would otherwise change a value silently. */
export interface ColumnShape {
  kind: ColumnKind;
  /** Characters a `char(n)` or `varchar(n)` holds. */
  length?: number;
  /** Of `numeric(p,s)`: digits in all, and digits after the point (negative: zeros before it, PostgreSQL 15). */
  precision?: number;
  scale?: number;
  /** Of an array's elements; Postgres gives every dimension the same type. */
  element?: ColumnShape;
}

export interface ValueProblem {
  code: string;
  message: string;
}

/** Carries a problem out of nested arrays; not thrown beyond this file. */
class ColumnValueError extends Error {
  readonly problem: ValueProblem;
  constructor(code: string, message: string) {
    super(message);
    this.problem = { code, message };
  }
}

/**
 * The text form of a JSON value for a column of the type, or why the column cannot hold it. Dates and times
 * without an offset are read in the time zone.
 */
export function columnText(
  value: JsonValue,
  column: { name: string; formatted: string; shape: ColumnShape },
  { timezone }: { timezone: string },
): { text: string | null } | { problem: ValueProblem } {
  if (value === null) return { text: null };
  try {
    return { text: textFor(value, column.shape, timezone) };
  } catch (error) {
    if (!(error instanceof ColumnValueError)) throw error;
    const { code, message } = error.problem;
    return { problem: { code, message: `column ${column.name} (${column.formatted}) ${message}` } };
  }
}

function textFor(value: JsonValue, shape: ColumnShape, timezone: string): string {
  if (shape.kind === 'json') return jsonText(value);
  if (typeof value === 'string') return stringText(value, shape, timezone);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value))
      throw new ColumnValueError('VALUE_NOT_JSON', `was given ${value}, which is not a number`);
    return numberText(String(value), shape);
  }
  if (JSON.isRawJSON(value)) return numberText(value.rawJSON, shape);
  if (shape.kind === 'text') return withinLength(jsonText(value), shape);
  if (Array.isArray(value) && shape.element) return arrayLiteral(value, shape.element, { timezone });
  throw new ColumnValueError(
    'VALUE_WRONG_TYPE',
    `holds one value, got a JSON ${Array.isArray(value) ? 'array' : 'object'}: map one of its parts, or declare the column jsonb`,
  );
}

function stringText(text: string, shape: ColumnShape, timezone: string): string {
  requireStorable(text);
  if (shape.kind === 'date' || shape.kind === 'timestamp') return timeText(text, shape.kind, timezone);
  if (shape.kind === 'numeric') requireDigitsKept(text, shape);
  return withinLength(text, shape);
}

/** Postgres would ignore an offset silently, and take the local date or time before it. */
function timeText(text: string, kind: 'date' | 'timestamp', timezone: string): string {
  try {
    const local = localTime(text, timezone);
    if (!local) return text;
    const { date, time, era } = local;
    return kind === 'date' ? `${date}${era}` : `${date} ${time}${era}`;
  } catch (error) {
    if (!(error instanceof UnreadableOffset)) throw error;
    throw new ColumnValueError(
      'VALUE_OFFSET_UNREADABLE',
      `has no offset, and the offset of ${shown(text)} cannot be read: write it as in 2026-11-21T23:30:00+01:00, or declare the column timestamptz`,
    );
  }
}

function numberText(text: string, shape: ColumnShape): string {
  if (shape.kind === 'integer') return integerText(text);
  if (shape.kind === 'numeric') requireDigitsKept(text, shape);
  return withinLength(text, shape);
}

/** Postgres stores neither; the driver would replace a lone surrogate by U+FFFD silently. */
function requireStorable(text: string): void {
  if (text.includes('\0')) throw hasNul();
  if (!text.isWellFormed()) throw notUnicode();
}

const hasNul = (): ColumnValueError =>
  new ColumnValueError('VALUE_HAS_NUL', 'has a NUL character, which Postgres cannot store: remove it at the source');
const notUnicode = (): ColumnValueError =>
  new ColumnValueError(
    'VALUE_NOT_UNICODE',
    'has half of a surrogate pair, which is not text: correct it at the source',
  );

/** Counts code points, as Postgres does. Trailing blanks count, although Postgres would cut them off. */
function withinLength(text: string, { length }: ColumnShape): string {
  // A text never has fewer UTF-16 units than code points, so the slower count runs only when it can decide.
  if (length !== undefined && text.length > length && Array.from(text).length > length) {
    throw new ColumnValueError(
      'VALUE_TOO_LONG',
      `holds ${length} characters, got ${Array.from(text).length}: ${shown(text)}`,
    );
  }
  return text;
}

interface Decimal {
  negative: boolean;
  /** Significant digits, without leading or trailing zeros; empty for zero. */
  digits: string;
  /** Where the point stands, counted from the first digit: 12.5 is digits 125, point 2. */
  point: number;
}

const decimal = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*$/;

function parseDecimal(text: string): Decimal | undefined {
  // PostgreSQL 16 and later take underscores between digits.
  const match = decimal.exec(text.includes('_') ? text.replaceAll('_', '') : text);
  if (!match) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const all = whole + fraction;
  let first = 0;
  while (first < all.length && all[first] === '0') first++;
  let last = all.length;
  while (last > first && all[last - 1] === '0') last--;
  return { negative: sign === '-', digits: all.slice(first, last), point: whole.length - first + Number(exponent) };
}

/** Postgres would round money to the scale silently. A text that is no decimal number is left to Postgres to refuse. */
function requireDigitsKept(text: string, { precision, scale }: ColumnShape): void {
  if (precision === undefined || scale === undefined) return;
  const number = parseDecimal(text);
  if (!number || number.digits === '') return;
  if (number.digits.length - number.point > scale) {
    const keeps = scale < 0 ? `whole multiples of 1e${-scale}` : `${scale} digits after the point`;
    throw new ColumnValueError('VALUE_LOSES_DIGITS', `keeps ${keeps}, and ${shown(text)} would be rounded`);
  }
  if (number.point > precision - scale) {
    const most = precision - scale;
    throw new ColumnValueError('VALUE_OUT_OF_RANGE', `holds ${most} digits before the point, got ${shown(text)}`);
  }
}

/** The digits of a whole number in any notation (`5.0`, `1e3`); Postgres checks its range. */
function integerText(text: string): string {
  const number = parseDecimal(text);
  if (!number || number.digits.length > Math.max(number.point, 0)) {
    throw new ColumnValueError('VALUE_NOT_INTEGER', `holds whole numbers, got ${shown(text)}`);
  }
  if (number.digits === '') return '0';
  // bigint has 19 digits: a longer one need not be written out (1e1000000).
  if (number.point > 19)
    throw new ColumnValueError('VALUE_OUT_OF_RANGE', `holds 19 digits at most, got ${shown(text)}`);
  return (number.negative ? '-' : '') + number.digits.padEnd(number.point, '0');
}

// JSON.stringify writes these escapes for a NUL and for lone surrogates only; an even run of backslashes before one
// belongs to the text itself.
const unstorableEscape = /(?<!\\)(?:\\\\)*\\u(0000|d[89a-f][0-9a-f]{2})/;

function jsonText(value: JsonValue): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (cause) {
    const why = cause instanceof RangeError ? 'nested too deeply' : 'not a JSON value';
    throw new ColumnValueError('VALUE_NOT_JSON', `was given something ${why}`);
  }
  if (text === undefined)
    throw new ColumnValueError('VALUE_NOT_JSON', `was given a ${typeof value}, which JSON cannot hold`);
  const found = text.includes('\\u') ? unstorableEscape.exec(text) : null;
  if (found) throw found[1] === '0000' ? hasNul() : notUnicode();
  return text;
}

/** Postgres's MAXDIM. */
const mostDimensions = 6;

/** `{"1",NULL,"two \"words\""}`; quotes every value, so that `NULL`, blanks and commas are text. */
function arrayLiteral(
  values: readonly JsonValue[],
  element: ColumnShape,
  { timezone, dimension = 1 }: { timezone: string; dimension?: number },
): string {
  if (dimension > mostDimensions) {
    throw new ColumnValueError(
      'VALUE_WRONG_TYPE',
      `holds arrays of ${mostDimensions} dimensions at most, got a deeper one`,
    );
  }
  const items = values.map((value) => {
    if (value === null) return 'NULL';
    // A further dimension has the same element type; where the elements are JSON an array is one of them.
    if (Array.isArray(value) && element.kind !== 'json')
      return arrayLiteral(value, element, { timezone, dimension: dimension + 1 });
    return `"${textFor(value, element, timezone).replaceAll(/["\\]/g, '\\$&')}"`;
  });
  return `{${items.join(',')}}`;
}

/** A value for a message: quoted, and short enough for a line. */
function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
