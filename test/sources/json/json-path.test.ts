import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExactJson } from '../../../src/sources/json/exact-json.ts';
import { formatJsonPath, getPath, parseJsonPath } from '../../../src/sources/json/json-path.ts';

test('a path is compiled to keys and indexes', () => {
  for (const [text, steps] of [
    ['a', ['a']],
    ['a.b[0].c', ['a', 'b', 0, 'c']],
    ['[1]', [1]],
    ['a[0][1]', ['a', 0, 1]],
    ['@odata.nextLink', ['@odata', 'nextLink']],
    ['größe.x-y', ['größe', 'x-y']],
  ] as const) {
    assert.deepEqual(parseJsonPath(text), steps);
  }
});

test('a text that is not a path is recognized', () => {
  for (const text of ['', '.', '.a', 'a.', 'a..b', 'a[', 'a[x]', 'a[-1]', 'a b', 'a[0', 'a]', '{a}']) {
    assert.equal(parseJsonPath(text), undefined, JSON.stringify(text));
  }
});

test('a path printed is read back the same', () => {
  const step = fc.oneof(fc.nat(), fc.stringMatching(/^[^.[\]{}\s]+$/u));
  fc.assert(
    fc.property(fc.array(step, { minLength: 1 }), (path) => {
      assert.deepEqual(parseJsonPath(formatJsonPath(path)), path);
    }),
  );
});

test('a value is found at its path; absent differs from null', () => {
  const value = { a: [{ b: null }, 'text'] };
  assert.equal(getPath(value, ['a', 0, 'b']), null);
  for (const path of [['a', 0, 'c'], ['a', 2], ['a', 1, 0], ['a', 'length'], ['a', 0, 'b', 'c'], ['toString']]) {
    assert.equal(getPath(value, path), undefined, path.join('.'));
  }
});

test('a path does not lead into an exact number', () => {
  const value = parseExactJson('{"amount":1.50}');
  assert.equal(getPath(value, ['amount', 'rawJSON']), undefined);
  assert.equal(getPath({ 0: 'a' }, [0]), undefined);
});
