import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { excerpt } from '../../../src/sources/http/excerpt.ts';

test('an excerpt is one line of at most 200 well-formed, printable characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 1000, size: 'max' }), (text) => {
      const line = excerpt(text);
      assert.ok(Array.from(line).length <= 200);
      assert.doesNotMatch(line, /[\n\r\p{C}]/u);
      assert.ok(line.isWellFormed());
    }),
  );
});

test('what is cut off is marked', () => {
  assert.equal(excerpt('a\u{1b}[31m\r\n\tb'), 'a [31m b');
  assert.equal(excerpt('x'.repeat(201)), `${'x'.repeat(199)}…`);
  assert.equal(excerpt('x'.repeat(200)), 'x'.repeat(200));
});
