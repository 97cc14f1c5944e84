import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isExactNumber, type Json, numberText, parseExactJson } from '../../src/sources/exact-json.ts';
import { getPath } from '../../src/sources/json-path.ts';

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
    { numRuns: 2000 },
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

test('a key named __proto__ is a key and no prototype', () => {
  const value = parseExactJson('{"__proto__":{"admin":true},"a":1}');
  assert.deepEqual(Object.keys(value as object), ['__proto__', 'a']);
  assert.equal((value as { admin?: boolean }).admin, undefined);
  assert.equal(getPath(value, ['__proto__', 'admin']), true);
  assert.equal(getPath(parseExactJson('{}'), ['__proto__']), undefined);
  assert.equal(getPath(parseExactJson('{}'), ['constructor', 'name']), undefined);
});

test('nesting beyond reading is an error with a code, and honest depth is read', () => {
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

test('what is not JSON is a SyntaxError', () => {
  for (const text of ['', '{"a":', "{'a':1}", 'NaN', '01', '[1,]', '\u{feff}1']) {
    assert.throws(() => parseExactJson(text), SyntaxError);
  }
});
