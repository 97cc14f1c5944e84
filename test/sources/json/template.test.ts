import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExactJson } from '../../../src/sources/json/exact-json.ts';
import { getPath } from '../../../src/sources/json/json-path.ts';
import { parseTemplate, renderTemplate, templatePaths } from '../../../src/sources/json/template.ts';

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

test('doubled braces are literal ones, also beside a path', () => {
  const rendered = (text: string): string => renderTemplate(parseTemplate(text), () => 'c 1', String);
  for (const [text, expected] of [
    ['{{"customerId":"{key}"}}', '{"customerId":"c 1"}'],
    ["{{Id}}='{key}'", "{Id}='c 1'"],
    ['{{"a":{{"b":{key}}}}}', '{"a":{"b":c 1}}'],
    ['{{{key}}}', '{c 1}'],
    ['{{key}}', '{key}'],
    ['{{}}{key}}}{{', '{}c 1}{'],
  ] as const) {
    assert.equal(rendered(text), expected);
  }
  assert.deepEqual(templatePaths(parseTemplate('{{key}}/{a.b}')), [['a', 'b']]);
  const value = renderTemplate(parseTemplate('{{{key}}}'), () => '{{x}}', String);
  assert.equal(value, '{{{x}}}', 'what is filled in is not read as a template');
});

test('any text is a template of itself once its braces are doubled', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', 'a', '"', ' ', '.') }), (text) => {
      const template = parseTemplate(text.replaceAll(/[{}]/g, '$&$&'));
      assert.equal(
        renderTemplate(template, () => 'wrong', String),
        text,
      );
    }),
  );
});

test('braces without a path or without a matching brace are rejected with their position and the remedy', () => {
  for (const [text, fault] of [
    ['/{}', 'the braces at character 2 contain no path'],
    ['/{a b}', 'the braces at character 2 contain no path'],
    ['{"customerId":"{key}"}', 'the { at character 1 has no matching brace'],
    ['/{a', 'the { at character 2 has no matching brace'],
    ['/a}', 'the } at character 3 has no matching brace'],
    ['{{a}', 'the } at character 4 has no matching brace'],
    ['{a}}', 'the } at character 4 has no matching brace'],
    ['{{{a}}', 'the } at character 6 has no matching brace'],
  ] as const) {
    assert.throws(
      () => parseTemplate(text),
      ({ message }: Error) => message.includes(`${fault}; to send literal braces, write {{ and }}`),
      text,
    );
  }
});
