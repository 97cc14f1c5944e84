import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NightfillError } from '../../../src/resilience/failure.ts';
import { type Json, parseExactJson } from '../../../src/sources/json/exact-json.ts';
import { jsonSteps, parseInSteps } from '../../../src/sources/json/json-in-steps.ts';
import { anyJson } from '../../support/any-json.ts';
import { repeats } from '../../support/long.ts';

const tooDeep = 2_001;

/** The value with its names in their order, or what kind of error it is. */
function read(parse: () => Json): string {
  try {
    return JSON.stringify(parse());
  } catch (error) {
    if (error instanceof SyntaxError) return 'malformed';
    if (error instanceof NightfillError) return error.code;
    throw error;
  }
}

function inSteps(text: string, o: { length: number; anyDepth?: boolean }): { steps: number; value: Json } {
  const reading = jsonSteps(text, o);
  for (let steps = 1; ; steps += 1) {
    const step = reading.next();
    if (step.done) return { steps, value: step.value };
  }
}

function assertSame(text: string, length: number): void {
  assert.equal(
    read(() => inSteps(text, { length }).value),
    read(() => parseExactJson(text)),
    `${JSON.stringify(text)} in steps of ${length}`,
  );
}

const length = fc.integer({ min: 1, max: 12 });

test('JSON parsed in steps of any length equals JSON parsed at once', () => {
  fc.assert(fc.property(anyJson, length, assertSame), { numRuns: repeats(150, 5_000) });
});

test('invalid JSON is rejected in steps as it is at once', () => {
  const cut = fc.record({
    at: fc.nat(60),
    remove: fc.nat(2),
    insert: fc.constantFrom('', '', ',', '[', ']', '{', '}', '"', '\\', ':', '1', ' ', '-', '1.50'),
  });
  fc.assert(
    fc.property(anyJson, length, fc.array(cut, { minLength: 1, maxLength: 2 }), (text, step, cuts) => {
      assertSame(
        cuts.reduce((given, { at, remove, insert }) => given.slice(0, at) + insert + given.slice(at + remove), text),
        step,
      );
    }),
    // Always the same texts, because V8 mistakes some odd names for one another (test/support/any-json.ts).
    { numRuns: repeats(500, 20_000), seed: 8 },
  );
  const arrays = [
    '[[1,2,3,4]',
    '[[1,2,3,4]]]',
    '[[1,2,3,4],]',
    '[,[1,2,3,4]]',
    '[[1,2,3,4] [1,2,3,4]]',
    '[[1,2,3,4]5]',
  ];
  const fields = ['{"a":[1,2,3,4],}', '{"a":-[1,2,3,4]}', '{"a":1[1,2,3,4]}', '{"a"[1,2,3,4]}', '{"a":[1,2,3,4]"b":1}'];
  const others = ['', ' ', '[', '["a', '[1,2,3,4}', '[1,2,3,4][1,2,3,4]', '1[1,2,3,4]', '[1,2,3,4]1', '[1,2,3,4],'];
  for (const text of [...arrays, ...fields, ...others, '{[1,2,3,4]}', '{1.5:[1,2,3,4]}'])
    for (let step = 1; step < 12; step += 1) assertSame(text, step);
});

test('nesting that is too deep is rejected in steps as it is at once, and read at any depth on demand', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    for (const length of [10, 1_000]) {
      assertSame(`${open.repeat(tooDeep - 1)}1.50${close.repeat(tooDeep - 1)}`, length);
      assertSame(`${open.repeat(tooDeep)}1.50${close.repeat(tooDeep)}`, length);
      assertSame(open.repeat(tooDeep), length);
    }
  }
  const deep = `${'['.repeat(200_000)}1.50${']'.repeat(200_000)}`;
  let { value } = inSteps(deep, { length: 1_000, anyDepth: true });
  for (let depth = 0; depth < 200_000; depth += 1) value = (value as Json[])[0]!;
  assert.deepEqual(value, JSON.rawJSON('1.50'));
});

test('a step parses no more than its length and one text or number, wherever the records stand', (t) => {
  const record = '{"id":"CT-1","amount":12.50,"tags":["a","b"],"at":"2026-01-05T02:30:45.120Z"}';
  const records = `[${Array.from({ length: 2_000 }, () => record).join()}]`;
  const parse = t.mock.method(JSON, 'parse');
  for (const text of [
    records,
    `{"meta":{"total":2000},"data":{"items":${records}},"facets":${records},"page":1.0}`,
    `[${records},${records}]`,
    `{${Array.from({ length: 2_000 }, (_, index) => `"${index}":${record}`).join()}}`,
    `${'{"a":'.repeat(100)}${records}${'}'.repeat(100)}`,
  ]) {
    parse.mock.resetCalls();
    const { steps, value } = inSteps(text, { length: 1_000 });
    assert.ok(steps > (0.9 * text.length) / 1_000, `${steps} steps`);
    // Numbers that keep their digits are longer while they are parsed.
    const longest = Math.max(...parse.mock.calls.map((call) => String(call.arguments[0]).length));
    assert.ok(longest < 2_000, `${longest} characters at once`);
    assert.equal(JSON.stringify(value), JSON.stringify(parseExactJson(text)));
  }
});

test('other work runs between the steps of a long text', async () => {
  let turns = 0;
  const other = setInterval(() => (turns += 1), 0);
  const text = `[${Array.from({ length: 300_000 }, (_, index) => index).join()}]`;
  await parseInSteps(text);
  clearInterval(other);
  assert.ok(turns > 5, `${turns} turns while ${text.length} characters were parsed`);
});
