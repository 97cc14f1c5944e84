import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnText } from '../../../src/sinks/target/column-value.ts';
import type { ColumnShape, JsonValue } from '../../../src/sinks/target/column-value.ts';

const text: ColumnShape = { kind: 'text' };
const integer: ColumnShape = { kind: 'integer' };
const money: ColumnShape = { kind: 'numeric', precision: 18, scale: 2 };
const json: ColumnShape = { kind: 'json' };
const other: ColumnShape = { kind: 'other' };
const arrayOf = (element: ColumnShape): ColumnShape => ({ kind: 'array', element });

const convert = (value: JsonValue, shape: ColumnShape) =>
  columnText(value, { name: 'c', formatted: 'its type', shape }, { timezone: 'Europe/Berlin' });

function textOf(value: JsonValue, shape: ColumnShape): string | null {
  const result = convert(value, shape);
  assert.ok('text' in result, JSON.stringify(result));
  return result.text;
}

function codeOf(value: JsonValue, shape: ColumnShape): string {
  const result = convert(value, shape);
  assert.ok('problem' in result, JSON.stringify(result));
  assert.match(result.problem.message, /^column c \(its type\) /);
  return result.problem.code;
}

test('JSON null is NULL in every kind of column', () => {
  for (const shape of [text, integer, money, json, other, arrayOf(text)]) assert.equal(textOf(null, shape), null);
});

test('a number keeps the digits it came with', () => {
  assert.equal(textOf(JSON.rawJSON('9007199254740993.10'), { kind: 'numeric' }), '9007199254740993.10');
  assert.equal(textOf(JSON.rawJSON('0.10'), money), '0.10');
  assert.equal(textOf(JSON.rawJSON('1.0'), text), '1.0');
  assert.equal(textOf(1e21, { kind: 'numeric' }), '1e+21');
  assert.equal(textOf(true, { kind: 'boolean' }), 'true');
});

test('an object with a key rawJSON is an object, not a number', () => {
  assert.equal(codeOf({ rawJSON: '5' }, money), 'VALUE_WRONG_TYPE');
  assert.equal(textOf({ rawJSON: '5' }, json), '{"rawJSON":"5"}');
});

test('a whole number is taken for an integer column however it is written', () => {
  for (const [given, digits] of [
    ['5', '5'],
    ['5.0', '5'],
    ['-5.00', '-5'],
    ['1e3', '1000'],
    ['1.5E+1', '15'],
    ['1200e-2', '12'],
    ['0.0', '0'],
    ['-0', '0'],
    ['9223372036854775807', '9223372036854775807'],
  ] as const) {
    assert.equal(textOf(JSON.rawJSON(given), integer), digits, given);
  }
});

test('a broken number is refused by an integer column, and a huge one without being written out', () => {
  assert.equal(codeOf(5.5, integer), 'VALUE_NOT_INTEGER');
  assert.equal(codeOf(JSON.rawJSON('1e-1'), integer), 'VALUE_NOT_INTEGER');
  assert.equal(codeOf(JSON.rawJSON('1e1000000000'), integer), 'VALUE_OUT_OF_RANGE');
});

test('a value that numeric(p,s) would round is a problem, number or string', () => {
  for (const given of ['0.005', '1.999', '1e-3', '-12.345', ' 1.001 ', '1_0.001']) {
    assert.equal(codeOf(given, money), 'VALUE_LOSES_DIGITS', given);
  }
  assert.equal(codeOf(0.005, money), 'VALUE_LOSES_DIGITS');
  assert.equal(codeOf(JSON.rawJSON('0.0050'), money), 'VALUE_LOSES_DIGITS');
  for (const given of ['1.990', '1.9900000', '1200e-2', '125e-2', '0.000', '.5', '5.', '-0.10', 'NaN']) {
    assert.equal(textOf(given, money), given, given);
  }
});

test('digits before the point beyond the precision are out of range', () => {
  assert.equal(textOf('9999999999999999.99', money), '9999999999999999.99');
  assert.equal(codeOf('10000000000000000', money), 'VALUE_OUT_OF_RANGE');
  assert.equal(codeOf(JSON.rawJSON('1e400'), money), 'VALUE_OUT_OF_RANGE');
  assert.equal(codeOf('1250', { kind: 'numeric', precision: 3, scale: -2 }), 'VALUE_LOSES_DIGITS');
  assert.equal(textOf('1200', { kind: 'numeric', precision: 3, scale: -2 }), '1200');
});

test('what is no number is left to Postgres to refuse', () => {
  for (const given of ['', 'abc', '1,5', '€ 5']) assert.equal(textOf(given, money), given);
  assert.equal(textOf('', other), '');
});

test('a text longer than char(n) is a problem, counted in characters', () => {
  const currency: ColumnShape = { kind: 'text', length: 3 };
  assert.equal(textOf('EUR', currency), 'EUR');
  assert.equal(textOf('😀😀😀', currency), '😀😀😀');
  assert.equal(codeOf('EURO', currency), 'VALUE_TOO_LONG');
  assert.equal(codeOf('EUR ', currency), 'VALUE_TOO_LONG');
  assert.equal(codeOf('😀😀😀😀', currency), 'VALUE_TOO_LONG');
  assert.equal(codeOf(JSON.rawJSON('1000'), currency), 'VALUE_TOO_LONG');
  assert.equal(codeOf({ a: 1 }, currency), 'VALUE_TOO_LONG');
});

test('objects and arrays become JSON with exact numbers in json and text columns', () => {
  const value = { amount: JSON.rawJSON('1.10'), list: [1, null, 'a"b'] };
  const expected = '{"amount":1.10,"list":[1,null,"a\\"b"]}';
  assert.equal(textOf(value, json), expected);
  assert.equal(textOf(value, text), expected);
  assert.equal(textOf([JSON.rawJSON('1.0')], json), '[1.0]');
  assert.equal(textOf('a "word"', json), '"a \\"word\\""');
  assert.equal(textOf(JSON.rawJSON('1.0'), json), '1.0');
});

test('a key named __proto__ is just a key', () => {
  const value = JSON.parse('{"__proto__":{"a":1}}') as JsonValue;
  assert.equal(textOf(value, json), '{"__proto__":{"a":1}}');
});

test('an object or array for a scalar column is a problem', () => {
  assert.equal(codeOf({}, money), 'VALUE_WRONG_TYPE');
  assert.equal(codeOf([1], integer), 'VALUE_WRONG_TYPE');
  assert.equal(codeOf([1], other), 'VALUE_WRONG_TYPE');
  assert.equal(codeOf({}, arrayOf(text)), 'VALUE_WRONG_TYPE');
});

test('an array becomes an array literal whose strings are only text', () => {
  assert.equal(textOf(['a', 'b"\\,{}', 'NULL', '', null], arrayOf(text)), String.raw`{"a","b\"\\,{}","NULL","",NULL}`);
  assert.equal(
    textOf(
      [
        [1, 2],
        [3, JSON.rawJSON('4.0')],
      ],
      arrayOf(integer),
    ),
    '{{"1","2"},{"3","4"}}',
  );
  assert.equal(textOf([], arrayOf(text)), '{}');
  assert.equal(textOf([[1], { a: 1 }], arrayOf(json)), String.raw`{"[1]","{\"a\":1}"}`);
  assert.equal(codeOf(['1.005'], arrayOf(money)), 'VALUE_LOSES_DIGITS');
  assert.equal(codeOf([['ABCD']], arrayOf({ kind: 'text', length: 3 })), 'VALUE_TOO_LONG');
});

test('a NUL or half a surrogate pair is a problem wherever it stands', () => {
  for (const [broken, code] of [
    ['a\0b', 'VALUE_HAS_NUL'],
    ['\ud83d', 'VALUE_NOT_UNICODE'],
    ['a\udc00', 'VALUE_NOT_UNICODE'],
  ] as const) {
    for (const shape of [text, other, money]) assert.equal(codeOf(broken, shape), code);
    assert.equal(codeOf([broken], arrayOf(text)), code);
    for (const value of [broken, [broken], { [broken]: 1 }, { a: [{ b: broken }] }]) {
      assert.equal(codeOf(value, json), code, JSON.stringify(value));
    }
  }
});

test('a backslash before u0000 is text, not an escape', () => {
  assert.equal(textOf(String.raw`\u0000 \ud800`, json), String.raw`"\\u0000 \\ud800"`);
  assert.equal(codeOf('\\\0', json), 'VALUE_HAS_NUL');
  assert.equal(codeOf('\\\\\0', json), 'VALUE_HAS_NUL');
});

test('what JSON cannot hold is a problem, not a crash', () => {
  const circular: JsonValue[] = [];
  circular.push(circular);
  assert.equal(codeOf(circular, json), 'VALUE_NOT_JSON');
  let deep: JsonValue = [];
  for (let depth = 0; depth < 200_000; depth++) deep = [deep];
  assert.equal(codeOf(deep, json), 'VALUE_NOT_JSON');
  assert.equal(codeOf(deep, arrayOf(text)), 'VALUE_WRONG_TYPE');
  assert.equal(codeOf(Number.NaN, money), 'VALUE_NOT_JSON');
  assert.equal(codeOf(undefined as unknown as JsonValue, text), 'VALUE_NOT_JSON');
});

test('JSON for a json column parses back to the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const result = convert(value as JsonValue, json);
      if ('problem' in result) return hasBroken(value);
      return value === null
        ? result.text === null
        : JSON.stringify(JSON.parse(result.text ?? '')) === JSON.stringify(value);
    }),
  );
});

function hasBroken(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, part]) => hasBroken(key) || hasBroken(part));
}

test('no decimal string loses digits unnoticed', () => {
  const digits = fc.string({ unit: fc.constantFrom('0', '1', '5', '9'), minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(digits, digits, fc.integer({ min: 0, max: 5 }), (whole, fraction, scale) => {
      const result = convert(`${whole}.${fraction}`, { kind: 'numeric', precision: 20, scale });
      const keeps = /^0*$/.test(fraction.slice(scale));
      return 'text' in result ? keeps : !keeps && result.problem.code === 'VALUE_LOSES_DIGITS';
    }),
  );
});
