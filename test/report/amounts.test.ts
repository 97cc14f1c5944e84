import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readAmounts, type BookedAmount } from '../../src/report/amounts.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNight, type SeededContract } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });
let jobs = 0;

const seed = async (contracts: readonly SeededContract[]): Promise<string> =>
  (await seedNight(database, { job: `amounts ${++jobs}`, contracts })).instance;

const amountsOf = async (contracts: readonly SeededContract[]): Promise<BookedAmount[]> =>
  readAmounts(database, { instance: await seed(contracts), sums: seededFigures.sums });

test('what was listed is split per currency into what was loaded, failed and was not started', async () => {
  const common = { column: 'amount', variance: '0.00', unknown: { failed: 0, notStarted: 0 }, chunksOff: [] };
  assert.deepEqual(
    await amountsOf([
      { key: 'a', amount: '10.00' },
      { key: 'b', amount: '-2.50', outcome: 'degraded' },
      { key: 'c', amount: '5.25', outcome: 'failed' },
      { key: 'd', amount: '7.00', currency: 'USD' },
      { key: 'e', amount: '3.00', currency: 'USD', chunk: 2, outcome: 'not-started' },
    ]),
    [
      { ...common, currency: 'EUR', listed: '12.75', loaded: '7.50', failed: '5.25', notStarted: '0.00' },
      { ...common, currency: 'USD', listed: '10.00', loaded: '7.00', failed: '0.00', notStarted: '3.00' },
    ],
  );
});

test('sums are of exact digits, and have as many as any of them needs', async () => {
  const [sum] = await amountsOf([
    { key: 'a', amount: '9007199254740993.1' },
    { key: 'b', amount: '0.0000000000000001' },
  ]);
  assert.equal(sum?.listed, '9007199254740993.1000000000000001');
  assert.equal(sum.variance, '0.0000000000000000');
});

test('an amount that nobody said is counted, and is in no sum', async () => {
  const [none, eur] = (
    await amountsOf([
      { key: 'a' },
      { key: 'b', amount: null, outcome: 'failed' },
      { key: 'c', amount: null, outcome: 'failed' },
      { key: 'd', amount: null, chunk: 2, outcome: 'not-started' },
    ])
  ).toSorted((one, other) => (one.currency ?? '').localeCompare(other.currency ?? ''));
  assert.deepEqual([none?.currency, none?.unknown], [null, { failed: 2, notStarted: 0 }]);
  assert.deepEqual([eur?.unknown, eur?.listed], [{ failed: 0, notStarted: 1 }, '1.00']);
});

for (const [said, amount] of [
  ['1e3', '1000'],
  [' 7.5 ', '7.5'],
  ['+.25', '0.25'],
  ['NaN', undefined],
  ['Infinity', undefined],
  ['0x1F', undefined],
  ['1_000', undefined],
  ['12,50', undefined],
  ['', undefined],
] as const) {
  test(`of a contract that was not started the listing's ${JSON.stringify(said)} ${amount ? `is ${amount}` : 'is no amount'}`, async () => {
    const [sum] = await amountsOf([{ key: 'a', amount: said, outcome: 'not-started' }]);
    assert.equal(sum?.notStarted, amount ?? '0');
    assert.equal(sum.unknown.notStarted, amount ? 0 : 1);
  });
}

test('blanks after the currency of a listing are none where the column is padded', async () => {
  const waiting = [
    { key: 'a', currency: 'EUR  ', outcome: 'not-started' },
    { key: 'b', currency: 'EUR', outcome: 'not-started' },
  ] as const;
  assert.deepEqual(
    (await amountsOf(waiting)).map(({ currency }) => currency),
    ['EUR'],
  );
  const [sum] = seededFigures.sums;
  const kept = await readAmounts(database, { instance: await seed(waiting), sums: [{ ...sum!, byIsPadded: false }] });
  assert.deepEqual(
    kept.map(({ currency }) => currency),
    ['EUR', 'EUR  '],
  );
});

test('chunks whose amounts are off are named, also when they make up for one another', async () => {
  const [sum] = await amountsOf([
    { key: 'a', amount: '5.00', loaded: '4.00' },
    { key: 'b', amount: '5.00', chunk: 2 },
    { key: 'c', amount: '5.00', loaded: '6.00', chunk: 3 },
  ]);
  assert.deepEqual([sum?.variance, sum?.chunksOff], ['0.00', [1, 3]]);
});

test('money held back is neither loaded nor a variance', async () => {
  const [sum] = await amountsOf([
    { key: 'a', amount: '5.00', outcome: 'held-back' },
    { key: 'b', amount: '2.00', outcome: 'failed' },
  ]);
  const { listed, loaded, failed, staged, variance } = sum!;
  assert.deepEqual([listed, loaded, failed, staged, variance], ['7.00', '0.00', '2.00', '5.00', '0.00']);
});
