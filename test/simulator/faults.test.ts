import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/resilience/failure.ts';
import { faultDecision, faultNames, parseFaults, type Fault } from '../../src/simulator/faults.ts';

const indices = Array.from({ length: 20_000 }, (_, index) => index);

function suffering(faults: Partial<Record<Fault, number>>, attempt = 1, seed = 7): Set<number> {
  const decide = faultDecision(seed, faults);
  return new Set(indices.filter((index) => decide({ kind: 'record', index, attempt }) !== undefined));
}

test('faults are read as shares or percentages', () => {
  assert.deepEqual(parseFaults('flaky=0.05, dead=1%,slow=.5,reset=1'), {
    flaky: 0.05,
    dead: 0.01,
    slow: 0.5,
    reset: 1,
  });
  assert.deepEqual(parseFaults(''), {});
});

test('faults that cannot be meant are refused with a sentence that names them', () => {
  const wrong: [string, RegExp][] = [
    ['flakey=0.1', /no fault "flakey".*flaky/],
    ['constructor=0.1', /no fault "constructor"/],
    ['__proto__=0.1', /no fault "__proto__"/],
    ['dead', /"dead" is not a name/],
    ['dead=lots', /"dead=lots" is not a name/],
    ['dead=-0.1', /"dead=-0.1" is not a name/],
    ['dead=1.5', /"dead" must be between 0 and 1.*1\.5/],
    ['dead=101%', /"dead" must be between 0 and 1/],
    ['dead=0.1,dead=0.2', /"dead" is given twice/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(
      () => parseFaults(text),
      (error) => error instanceof UsageError && message.test(error.message),
      text,
    );
  }
});

test('each fault befalls about its share', () => {
  for (const name of faultNames) {
    const share = suffering({ [name]: 0.05 }).size / indices.length;
    assert.ok(share > 0.04 && share < 0.06, `${name}: ${share}`);
  }
});

test('a dead or missing record is so on every attempt, and another seed chooses others', () => {
  for (const name of ['dead', 'missing'] as const) {
    assert.deepEqual(suffering({ [name]: 0.03 }, 9), suffering({ [name]: 0.03 }, 1));
    assert.notDeepEqual(suffering({ [name]: 0.03 }, 1, 8), suffering({ [name]: 0.03 }, 1, 7));
  }
});

test('a flaky record recovers by its third attempt', () => {
  assert.ok(suffering({ flaky: 1 }, 1).size === indices.length);
  assert.ok(suffering({ flaky: 1 }, 2).size > 0);
  assert.equal(suffering({ flaky: 1 }, 3).size, 0);
});

test('the other faults draw again on each attempt', () => {
  const first = suffering({ reset: 0.1 }, 1);
  const second = suffering({ reset: 0.1 }, 2);
  const both = [...first].filter((index) => second.has(index)).length;
  assert.ok(both > 100 && both < 350, `${both}, about 200 where attempts are independent`);
});

test('raising a share only adds to those who suffer', () => {
  const more = suffering({ dead: 0.2 });
  assert.ok([...suffering({ dead: 0.1 })].every((index) => more.has(index)));
});

test('a listing page is never worse than flaky', () => {
  const everything = Object.fromEntries(faultNames.map((name) => [name, 1]));
  const decide = faultDecision(1, everything);
  const seen = new Set(indices.map((index) => decide({ kind: 'listing', index, attempt: 1 + (index % 3) })));
  assert.deepEqual(seen, new Set(['flaky', undefined]));
});
