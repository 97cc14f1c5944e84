import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isExactNumber, type Json, numberText, parseExactJson } from '../../../src/sources/json/exact-json.ts';
import { quoteInexactNumbers } from '../../../src/sources/json/inexact-numbers.ts';
import { getPath } from '../../../src/sources/json/json-path.ts';
import { anyJson } from '../../support/any-json.ts';
import { repeats } from '../../support/long.ts';

/** A number as JSON allows it to be written. */
const jsonNumber = fc.oneof(
  fc.stringMatching(/^-?(?:0|[1-9]\d{0,30})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/),
  fc.stringMatching(/^-?(?:0|[1-9]\d{0,8})(?:\.0{0,8}\d{1,6})?$/),
  fc.stringMatching(/^[1-9]\d{12,17}$/),
);

test('every number keeps the text it came with, in any place', () => {
  fc.assert(
    fc.property(jsonNumber, (text) => {
      for (const value of [
        parseExactJson(text),
        getPath(parseExactJson(`{"a":[{"b": ${text} }]}`), ['a', 0, 'b']),
        getPath(parseExactJson(`[${text}]`), [0]),
      ]) {
        assert.ok(isExactNumber(value));
        assert.equal(numberText(value), text);
      }
      assert.equal(JSON.stringify(parseExactJson(`[${text}]`)), `[${text}]`);
    }),
    { numRuns: repeats(300, 20_000) },
  );
});

test('what a float changes is kept: trailing zeros, exponents, minus zero, long integers and fractions', () => {
  for (const text of [
    '1.50',
    '100.0',
    '1e2',
    '-0',
    '9007199254740993',
    '0.0000001',
    '0.1000000000000000055511151231257827',
    '1e999',
  ]) {
    const value = parseExactJson(text);
    assert.ok(isExactNumber(value));
    assert.equal(numberText(value), text);
  }
});

test('everything but the spelling of numbers is what JSON.parse gives', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.deepEqual(JSON.parse(JSON.stringify(parseExactJson(text))), JSON.parse(text));
    }),
  );
});

test('a key named __proto__ is an ordinary key', () => {
  const value = parseExactJson('{"__proto__":{"admin":true},"a":1}');
  assert.deepEqual(Object.keys(value as object), ['__proto__', 'a']);
  assert.equal((value as { admin?: boolean }).admin, undefined);
  assert.equal(getPath(value, ['__proto__', 'admin']), true);
  assert.equal(getPath(parseExactJson('{}'), ['__proto__']), undefined);
  assert.equal(getPath(parseExactJson('{}'), ['constructor', 'name']), undefined);
});

test('nesting that is too deep is an error with a code, and usual nesting is read', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    assert.throws(() => parseExactJson(`${open.repeat(100_000)}1${close.repeat(100_000)}`), {
      code: 'JSON_TOO_DEEP',
      class: 'data',
    });
    let value: Json | undefined = parseExactJson(`${open.repeat(200)}1.0${close.repeat(200)}`);
    for (let depth = 0; depth < 200; depth += 1) value = getPath(value, [open === '[' ? 0 : 'a']);
    assert.ok(isExactNumber(value));
  }
});

test('nesting of a hundred thousand levels is read on demand, and the numbers within keep their digits', () => {
  for (const [open, close, name] of [
    ['[', ']', 0],
    ['{"a":', '}', 'a'],
  ] as const) {
    const text = `${open.repeat(100_000)}1.00${close.repeat(100_000)}`;
    let value: unknown = parseExactJson(text, { anyDepth: true });
    for (let depth = 0; depth < 100_000; depth += 1) value = (value as Record<string | number, unknown>)[name];
    assert.deepEqual(value, JSON.rawJSON('1.00'));
  }
});

test('invalid JSON is a SyntaxError', () => {
  const wrong = ['', '{"a":', "{'a':1}", 'NaN', '01', '-', '1.', '[1,]', '1e', '+1', '1-1', '["a]', '\u{feff}1'];
  // A number that has to keep its digits is no name, and two values are none.
  const inexact = ['{1.50:2}', '{1.50 : 2}', '1.50"a"', '"a"1.50', '1.50 2.50', '-1.50-', '1.50abc'];
  for (const text of [...wrong, ...inexact]) {
    assert.throws(() => parseExactJson(text), SyntaxError, text);
    assert.throws(() => parseExactJson(`[${text},1.50]`), SyntaxError, text);
  }
});

test('an error refers to the original text', () => {
  assert.throws(() => parseExactJson('{"amount":12.50,}'), { message: /position 16/ });
});

test('the values are not visited again when no number would change', () => {
  const usual = {
    id: 'CT-00000017',
    uuid: '7e3f0a1c-0b1e-4d3e-9c4a-1e5d0f2b3c4d',
    startsOn: '2024-01-01',
    updatedAt: '2026-01-05T02:30:45.120Z',
    loggedAt: '2026-01-05T02:00:00.000+00:00',
    phone: '+49 30 1234567890-01',
    text: 'at 12:30, 1.50 each, 1e5 of them: "0.0000001" or -0, 12345678901234567890 in all',
    path: 'C:\\temp\\1.50\\',
    epoch: 1767571845120,
    amount: 12.25,
    negative: -7,
    seats: 100,
  };
  assert.equal(quoteInexactNumbers(JSON.stringify(usual)).quoted, false);
  assert.equal(quoteInexactNumbers(JSON.stringify(usual, undefined, 2)).quoted, false);
  fc.assert(
    fc.property(
      fc.record({
        at: fc.date({ noInvalidDate: true }),
        id: fc.uuid(),
        text: fc.string({ unit: 'binary' }),
        count: fc.integer(),
      }),
      (record) => {
        fc.pre(!Object.is(record.count, -0));
        assert.equal(quoteInexactNumbers(JSON.stringify(record)).quoted, false);
      },
    ),
  );
});

test('any JSON is read as V8 reads it when it shows every number as it is written', () => {
  const visited = (text: string): unknown =>
    (JSON.parse as (text: string, reviver: unknown) => unknown)(
      text,
      (_name: string, value: unknown, { source }: { source?: string }) =>
        typeof value === 'number' && source !== undefined && String(value) !== source ? JSON.rawJSON(source) : value,
    );
  fc.assert(
    fc.property(anyJson, (text) => assert.deepEqual(parseExactJson(text), visited(text))),
    { numRuns: repeats(60, 3_000) },
  );
});
