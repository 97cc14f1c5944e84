import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDeepJson } from '../../src/sources/deep-json.ts';
import { parseExactJson } from '../../src/sources/exact-json.ts';

test('nesting of a hundred thousand levels is read, and the numbers within keep their digits', () => {
  for (const [open, close, name] of [
    ['[', ']', 0],
    ['{"a":', '}', 'a'],
  ] as const) {
    let value: unknown = parseDeepJson(`${open.repeat(100_000)}1.00${close.repeat(100_000)}`);
    for (let depth = 0; depth < 100_000; depth += 1) value = (value as Record<string | number, unknown>)[name];
    assert.deepEqual(value, JSON.rawJSON('1.00'));
  }
});

test('any JSON is read as the exact parser reads it, or refused as it refuses it', () => {
  const number = fc.stringMatching(/^-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/);
  const text = fc.oneof(fc.string({ unit: 'binary' }), number, fc.constantFrom('\\', '"1.0"', '__proto__', '-'));
  const json = fc.letrec<{ any: string }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      number,
      text.map((value) => JSON.stringify(value)),
      fc.constantFrom('null', 'true', 'false'),
      fc.array(tie('any'), { maxLength: 4 }).map((items) => `[${items.join(' , ')}]`),
      fc
        .array(fc.tuple(text, tie('any')), { maxLength: 4 })
        .map((fields) => `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join()}}`),
    ),
  })).any;
  fc.assert(
    fc.property(json, (given) => assert.deepEqual(parseDeepJson(given), parseExactJson(given))),
    { numRuns: 200 },
  );
  for (const wrong of ['', '{"a":', "{'a':1}", 'NaN', '01', '-', '1.', '[1,]', '1e', '+1', '1-1', '["a]'])
    assert.throws(() => parseDeepJson(wrong), SyntaxError, wrong);
});
