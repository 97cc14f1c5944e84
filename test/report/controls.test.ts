import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateControls } from '../../src/report/controls.ts';
import type { Marking } from '../../src/report/figures.ts';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import { evidence, type EvidenceChanges } from '../support/evidence.ts';

/** A ledger without amounts: they have tests of their own. */
const withoutAmounts = { query: async () => Promise.resolve({ rows: [] }) } as unknown as Queryable;

const exact = { absolute: '0', share: 0 };

const evaluate = async (changes: EvidenceChanges) =>
  evaluateControls(withoutAmounts, { ...evidence(changes), instance: 'x' });

/** `expected actual result` of the control whose name begins so; undefined where there is none. */
async function controlOf(name: string, changes: EvidenceChanges): Promise<string | undefined> {
  const found = (await evaluate(changes)).filter((control) => control.name.startsWith(name));
  assert.ok(found.length <= 1, `${found.length} controls are named ${name}`);
  return found[0] && `${found[0].expected} ${found[0].actual} ${found[0].result}`;
}

test('a whole first night passes every control that it can be held against', async () => {
  const controls = await evaluate({ figures: { standing: { loaded: 10, rows: 10, amounts: [] } } });
  assert.deepEqual(
    controls.map(({ name, type, result, severity }) => `${type} ${name}: ${result}, ${severity}`),
    [
      "count records listed against the source's own count: pass, fail",
      'count faults in the books of the night: pass, fail',
      'keys rows in the target for contracts loaded: pass, fail',
      'keys distinct rows of the target for contracts loaded: pass, fail',
      'keys rows of the night that stand in the target as it is closed: pass, fail',
    ],
  );
});

for (const [what, changes, expected] of [
  [
    'agrees with the records listed, those listed twice included',
    { counts: { sourceTotal: 11, duplicates: 1 } },
    '11 11 pass',
  ],
  ['differs', { counts: { sourceTotal: 9 } }, '9 10 fail'],
  [
    'is not given, and the job names none',
    { counts: { sourceTotal: null }, figures: { expectsTotal: false } },
    'not given 10 not-evaluated',
  ],
  ['is not given where the job says it should be', { counts: { sourceTotal: null } }, 'not given 10 fail'],
  ['is not given to a sample', { counts: { sourceTotal: null }, isNight: false }, 'not given 10 not-evaluated'],
  ['cannot be held against a listing that was cut off', { planned: false }, 'not given 10 not-evaluated'],
  ['changed while it was listed', { books: { totalChanged: true } }, '10 10 fail'],
] as const satisfies readonly [string, EvidenceChanges, string][]) {
  test(`the source's own count ${what}: ${expected}`, async () => {
    assert.equal(await controlOf('records listed against', changes), expected);
  });
}

test('records listed twice warn, and are no control where there are none', async () => {
  const [twice] = (await evaluate({ counts: { duplicates: 1 } })).filter(({ name }) => name.includes('twice'));
  assert.deepEqual([twice?.severity, twice?.result, twice?.actual], ['warn', 'fail', '1']);
  assert.equal(await controlOf('records listed twice', {}), undefined);
});

test('contracts that were gone when the listing went on fail the night', async () => {
  const name = 'contracts planned before';
  assert.equal(await controlOf(name, { books: { goneMeanwhile: 2 } }), '0 2 fail');
  assert.equal(await controlOf(name, {}), undefined);
});

test('every fault in the books fails', async () => {
  assert.equal(await controlOf('faults in the books', { books: { problems: ['one', 'two'] } }), '0 2 fail');
});

for (const [what, changes, rows, distinct] of [
  [
    'are as many as contracts loaded',
    { counts: { inserted: 3, updated: 3, unchanged: 4 } },
    '10 10 pass',
    '10 10 pass',
  ],
  ['are fewer than those', { counts: { inserted: 9 } }, '10 9 fail', '10 10 pass'],
  ['are shared by two contracts', { books: { distinctRows: 9 } }, '10 10 pass', '10 9 fail'],
  [
    'were loaded by contracts on last known values too',
    { counts: { enriched: 9, degraded: 1 } },
    '10 10 pass',
    '10 10 pass',
  ],
  [
    'are held back in part',
    { counts: { staged: 4, inserted: 6 }, books: { distinctRows: 6 } },
    '10 6 not-evaluated',
    '6 6 pass',
  ],
  ['are not known of an old night', { books: { distinctRows: null } }, '10 10 pass', '0 0 not-evaluated'],
] as const satisfies readonly [string, EvidenceChanges, string, string][]) {
  test(`rows of the target that ${what}: ${rows}; distinct: ${distinct}`, async () => {
    assert.equal(await controlOf('rows in the target', changes), rows);
    assert.equal(await controlOf('distinct rows', changes), distinct);
  });
}

test('rows that are gone from the target as the night is closed fail; a night whose rows were not looked at is not judged', async () => {
  const name = 'rows of the night that stand';
  assert.equal(await controlOf(name, { figures: { standing: { loaded: 10, rows: 9, amounts: [] } } }), '10 9 fail');
  assert.equal(await controlOf(name, {}), '0 0 not-evaluated');
});

test('marks are judged where the listing tells what is missing', async () => {
  const marking: Marking = { contracts: 3, tonight: 1, amounts: [], reason: null, control: { expected: 3, actual: 2 } };
  assert.equal(await controlOf('rows marked', { figures: { marking } }), '3 2 fail');
  assert.equal(
    await controlOf('rows marked', { figures: { marking: { ...marking, control: null } } }),
    '0 3 not-evaluated',
  );
  assert.equal(await controlOf('rows marked', {}), undefined);
});

for (const [what, atLeast, absolute, changes, expected] of [
  ['of what was asked', 0.9, '0', { counts: { enriched: 8, degraded: 1 } }, '9 9 pass'],
  ['below what was asked', 0.9, '0', { counts: { enriched: 8 } }, '9 8 fail'],
  ['within the tolerance', 0.9, '1', { counts: { enriched: 8 } }, '9 8 pass'],
  // 100 × 0.07 is 7.000000000000001 in binary.
  ['of a share that binary numbers do not hold', 0.07, '0', { counts: { listed: 100, enriched: 7 } }, '7 7 pass'],
  ['of a night that is not finished', 0.9, '0', { counts: { enriched: 5, notStarted: 5 } }, '9 5 not-evaluated'],
  ['of a listing that was cut off', 0.9, '0', { planned: false }, '9 10 not-evaluated'],
] as const satisfies readonly [string, number, string, EvidenceChanges, string][]) {
  test(`completeness ${what}: ${expected}`, async () => {
    const tolerance = { absolute, share: 0 };
    const controls = [{ type: 'completeness' as const, atLeast, tolerance, severity: 'fail' as const }];
    assert.equal(await controlOf('loaded of listed', { ...changes, figures: { controls } }), expected);
  });
}

const before = (listed: number): NonNullable<EvidenceChanges['previous']> => ({ counts: { listed } as never });

for (const [what, changes, expected] of [
  ['as many as before', { previous: before(10) }, '10 10 pass'],
  ['by less than the share apart', { previous: before(7) }, '7 10 pass'],
  ['by the share itself apart', { previous: before(20) }, '20 10 fail'],
  ['more than twice as many', { previous: before(4) }, '4 10 fail'],
  ['without a night before', {}, '0 10 not-evaluated'],
  ['none, without a night before', { counts: { listed: 0 } }, '1 0 fail'],
  ['none, as on the night before', { counts: { listed: 0 }, previous: before(0) }, '0 0 fail'],
  ['of a sample', { previous: before(20), isNight: false }, '0 10 not-evaluated'],
  ['of a listing that was cut off', { previous: before(20), planned: false }, '0 10 not-evaluated'],
] as const satisfies readonly [string, EvidenceChanges, string][]) {
  test(`contracts listed against the night before, ${what}: ${expected}`, async () => {
    const controls = [{ type: 'listed' as const, change: 0.5, tolerance: exact, severity: 'fail' as const }];
    assert.equal(await controlOf('contracts listed against', { ...changes, figures: { controls } }), expected);
  });
}

test('a job that takes any number of contracts is not judged by it', async () => {
  const controls = [{ type: 'listed' as const, change: null, tolerance: exact, severity: 'fail' as const }];
  const changes = { previous: before(1_000), figures: { controls } };
  assert.equal(await controlOf('contracts listed against', changes), '0 10 not-evaluated');
});
