import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExactJson } from '../../src/sources/exact-json.ts';
import { getPath } from '../../src/sources/json-path.ts';
import { parseTemplate, renderTemplate, templatePaths } from '../../src/sources/template.ts';

test('braces are filled in and encoded, whatever the value holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (key) => {
      const rendered = renderTemplate(parseTemplate('/contracts/{key}/x'), () => key);
      const [, segment = ''] = /^\/contracts\/([^/?#&\s]*)\/x$/.exec(rendered) ?? [];
      assert.equal(decodeURIComponent(segment), key);
    }),
  );
});

test('numbers keep their digits, and booleans are words', () => {
  const answer = parseExactJson('{"id":12345678901234567890,"on":true}');
  const rendered = renderTemplate(parseTemplate('{id}-{on}'), (path) => getPath(answer, path));
  assert.equal(rendered, '12345678901234567890-true');
});

test('a value that is absent, null, a container or broken text is a failure of that contract', () => {
  for (const [value, said] of [
    [undefined, /nothing/],
    [null, /null/],
    [{}, /another kind/],
    [[1], /another kind/],
    ['\ud800', /another kind/],
  ] as const) {
    assert.throws(
      () => renderTemplate(parseTemplate('/a/{contract.customerId}'), () => value),
      (error: Error & { code: string; class: string }) =>
        error.code === 'TEMPLATE_VALUE_MISSING' && error.class === 'data' && said.test(error.message),
    );
  }
});

test('the paths in braces are known before anything is filled in', () => {
  assert.deepEqual(templatePaths(parseTemplate('/{a.b[0]}/{key}?x')), [['a', 'b', 0], ['key']]);
  assert.deepEqual(parseTemplate('').parts, []);
});

test('braces that are no path or have no partner are refused by name', () => {
  assert.throws(() => parseTemplate('/{}'), /\{\} is not a path/);
  assert.throws(() => parseTemplate('/{a b}'), /\{a b\} is not a path/);
  for (const text of ['/{a', '/a}', '{{a}}']) assert.throws(() => parseTemplate(text), /a brace without its partner/);
});
