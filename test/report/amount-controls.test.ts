import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { evaluateAmounts } from '../../src/report/amount-controls.ts';
import type { ControlDefinition, Judged, RunFigures } from '../../src/report/figures.ts';
import type { ControlResult } from '../../src/report/schema.ts';
import { createDatabase } from '../support/database.ts';
import { evidence, type EvidenceChanges } from '../support/evidence.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNight, type SeededContract } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });
let jobs = 0;

const judged: Judged = { tolerance: { absolute: '0', share: 0 }, severity: 'fail' };
const sum = (change: Partial<Judged> = {}): ControlDefinition => ({
  type: 'sum',
  column: 'amount',
  by: 'currency',
  ...judged,
  ...change,
});
const tolerance = (absolute: string, share = 0): Partial<Judged> => ({ tolerance: { absolute, share } });

interface Asked extends Omit<EvidenceChanges, 'figures'> {
  contracts?: readonly SeededContract[];
  controls?: ControlDefinition[];
  figures?: Partial<RunFigures>;
}

/** The controls on amounts whose names begin so. */
async function controlsOf(name: string, o: Asked): Promise<ControlResult[]> {
  const { contracts = [], controls = [sum()], figures, ...changes } = o;
  const { instance } = await seedNight(database, { job: `controls ${++jobs}`, contracts });
  const all = await evaluateAmounts(database, {
    ...evidence({ ...changes, figures: { sums: seededFigures.sums, controls, ...figures } }),
    instance,
  });
  return all.filter((control) => control.name.startsWith(name));
}

const told = (controls: readonly ControlResult[]): string[] =>
  controls.map(
    ({ currency, expected, actual, delta, result }) => `${currency} ${expected} ${actual} ${delta} ${result}`,
  );

const source = 'sum of amount: source against target';

test("the sources' digits are held against the target's, per currency", async () => {
  const contracts = [
    { key: 'a', amount: '1.00' },
    { key: 'b', amount: '2.00', loaded: '2.01' },
    { key: 'c', amount: '4.00', currency: 'USD' },
  ];
  assert.deepEqual(told(await controlsOf(source, { contracts })), [
    'EUR 3.00 3.01 0.01 fail',
    'USD 4.00 4.00 0.00 pass',
  ]);
});

for (const [what, change, result] of [
  ['of the very difference', tolerance('0.01'), 'pass'],
  ['below the difference', tolerance('0.009'), 'fail'],
  ['of a share that the difference is', tolerance('0', 0.01), 'pass'],
  ['of a share below it', tolerance('0', 0.0099), 'fail'],
] as const) {
  test(`a tolerance ${what}: ${result}`, async () => {
    const contracts = [{ key: 'a', amount: '1.00', loaded: '0.99' }];
    const [control] = await controlsOf(source, { contracts, controls: [sum(change)] });
    assert.equal(control?.result, result);
  });
}

test('a share is of the figure expected, also of one below zero', async () => {
  const contracts = [{ key: 'a', amount: '-100.00', loaded: '-99.00' }];
  const [control] = await controlsOf(source, { contracts, controls: [sum(tolerance('0', 0.01))] });
  assert.deepEqual([control?.result, control?.tolerance], ['pass', '1%']);
});

test('a control that only warns says so', async () => {
  const contracts = [{ key: 'a', loaded: '0.99' }];
  const [control] = await controlsOf(source, { contracts, controls: [sum({ severity: 'warn' })] });
  assert.deepEqual([control?.severity, control?.result], ['warn', 'fail']);
});

test('amounts that were altered and make up for one another fail an exact control, and are counted', async () => {
  const job = `controls ${++jobs}`;
  const { instance } = await seedNight(database, { job, contracts: [{ key: 'a' }, { key: 'b' }] });
  await database.query(`UPDATE nightfill.chunk_amount SET altered = 2 WHERE instance = $1`, [instance]);
  const controls = async (change: Partial<Judged>) =>
    evaluateAmounts(database, {
      ...evidence({ figures: { sums: seededFigures.sums, controls: [sum(change)] } }),
      instance,
    });
  const [exact] = await controls({});
  assert.deepEqual([exact?.name, exact?.result], [`${source}, altered in 2 of its contracts`, 'fail']);
  assert.equal((await controls(tolerance('0.01')))[0]?.result, 'pass');
});

test('neither rows held back nor what a transform made can be held against the source', async () => {
  const contracts = [{ key: 'a', loaded: '0.99' }];
  const heldBack = await controlsOf(source, { contracts, counts: { staged: 1 } });
  assert.equal(heldBack[0]?.result, 'not-evaluated');
  const sums = seededFigures.sums.map((one) => ({ ...one, independent: false }));
  const transformed = await controlsOf(source, { contracts, figures: { sums } });
  assert.equal(transformed[0]?.result, 'not-evaluated');
});

const standing = 'sum of amount: loaded against what stands';

test('what was loaded is held against what stands in the target, in whatever currency', async () => {
  const contracts = [{ key: 'a' }, { key: 'b', amount: '2.00', currency: 'USD' }];
  const amounts = [
    { column: 'amount', currency: 'EUR', amount: '0.50' },
    { column: 'amount', currency: 'GBP', amount: '3.00' },
  ];
  const figures = { standing: { loaded: 2, rows: 2, amounts } };
  assert.deepEqual(told(await controlsOf(standing, { contracts, figures })), [
    'EUR 1.00 0.50 -0.50 fail',
    'USD 2.00 0 -2.00 fail',
    'GBP 0 3.00 3.00 fail',
  ]);
  const [always] = await controlsOf(standing, { contracts, figures, controls: [] });
  assert.deepEqual([always?.severity, always?.result], ['fail', 'fail'], 'whether the job sums or not');
  assert.deepEqual(await controlsOf(standing, { contracts }), [], 'a target that was not looked at');
});

const booked = (variance: string, chunksOff: number[] = []) => ({
  amounts: [{ column: 'amount', currency: 'EUR', listed: '10.00', variance, chunksOff } as never],
});

test('money that got lost between listing and target fails, and the chunks are named', async () => {
  const [lost] = await controlsOf('variance of amount', { books: booked('0.01', [2, 3]) });
  assert.deepEqual([lost?.name, lost?.actual, lost?.result], ['variance of amount, in chunk 2, 3', '0.01', 'fail']);
  const [evened] = await controlsOf('variance of amount', { books: booked('0.00', [2, 3]) });
  assert.equal(evened?.result, 'fail', 'chunks that make up for one another');
  const [none] = await controlsOf('variance of amount', { books: booked('0.00') });
  assert.equal(none?.result, 'pass');
});

test('a variance is always judged, by the tolerance of the sum where the job has one', async () => {
  const [always] = await controlsOf('variance of amount', { books: booked('0.01', [2]), controls: [] });
  assert.equal(always?.result, 'fail');
  const lenient = [sum(tolerance('0.01'))];
  const [allowed] = await controlsOf('variance of amount', { books: booked('0.01', [2]), controls: lenient });
  assert.deepEqual([allowed?.name, allowed?.result], ['variance of amount', 'pass']);
});

const change: ControlDefinition = { type: 'change', column: 'amount', by: 'currency', change: 0.25, ...judged };
const moved = (before: string, after: string) => ({
  changes: [{ column: 'amount', currency: 'EUR', before, after } as never],
});

for (const [what, previous, result] of [
  ['less than the share', moved('100.00', '124.99'), 'pass'],
  ['the share itself', moved('100.00', '75.00'), 'fail'],
  ['less than the share, below zero', moved('-100.00', '-80.00'), 'pass'],
  ['nothing at all', moved('0.00', '0.00'), 'pass'],
  ['from nothing to something', moved('0.00', '0.01'), 'fail'],
] as const) {
  test(`a sum that moved by ${what} since the night before: ${result}`, async () => {
    const [control] = await controlsOf('change of amount', { controls: [change], previous });
    assert.equal(control?.result, result);
  });
}

test('a change is not judged without a night before, nor of a listing that was cut off', async () => {
  assert.deepEqual(await controlsOf('change of amount', { controls: [change] }), []);
  const cutOff = await controlsOf('change of amount', {
    controls: [change],
    previous: moved('100.00', '1.00'),
    planned: false,
  });
  assert.equal(cutOff[0]?.result, 'not-evaluated');
});
