import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readPrevious } from '../../src/report/previous.ts';
import type { Report } from '../../src/report/schema.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNight, type SeededContract, type SeededNightOptions } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });
let jobs = 0;
const jobName = (): string => `previous ${++jobs}`;

const reportOf = (businessDate: string) => ({
  run: { id: 'x', businessDate, status: 'partial' },
  counts: { listed: 1 },
  amounts: [{ column: 'amount', currency: 'EUR', listed: '9.00', loaded: '8.00' }],
});

/** An earlier night of the job, closed with a report. */
const earlier = async (job: string, date: string, night: Partial<SeededNightOptions> = {}) =>
  seedNight(database, { job, date, contracts: [{ key: 'a' }], report: reportOf(date), ...night });

/** What the night of the 20th is compared with. */
async function previousOf(job: string, night: Partial<SeededNightOptions> = {}): Promise<Report['previous']> {
  const { instance } = await seedNight(database, { job, contracts: [{ key: 'a' }], ...night });
  return readPrevious(database, { instance, sums: seededFigures.sums });
}

test('a night is compared with the latest earlier one, whatever its status, as its report has it', async () => {
  const job = jobName();
  await earlier(job, '2026-11-17');
  await earlier(job, '2026-11-18');
  await earlier(job, '2026-11-21');
  const { runId, businessDate, status, counts, amounts } = (await previousOf(job))!;
  assert.deepEqual([runId, businessDate, status, counts], ['x', '2026-11-18', 'partial', { listed: 1 }]);
  assert.deepEqual(amounts, [{ column: 'amount', currency: 'EUR', amount: '8.00' }]);
});

for (const [what, night] of [
  ['whose listing was cut off', { status: 'planning' }],
  ['that was never closed', { report: undefined }],
  ['that was a sample', { purpose: 'sample' }],
  ['of another job', { job: 'another' }],
  ['of the same date', { date: '2026-11-20', generation: 2 }],
] as const) {
  test(`a night is not compared with one ${what}`, async () => {
    const job = jobName();
    await earlier(job, '2026-11-19', night as Partial<SeededNightOptions>);
    assert.equal(await previousOf(job), null);
  });
}

test('of a date that was planned anew the last plan counts', async () => {
  const job = jobName();
  await earlier(job, '2026-11-19', { generation: 2, contracts: [{ key: 'a' }, { key: 'b' }] });
  await earlier(job, '2026-11-19', { generation: 1, contracts: [{ key: 'a', amount: '5.00' }] });
  assert.equal((await previousOf(job))?.changes[0]?.before, '2.00');
});

test('a sample is compared with nothing', async () => {
  const job = jobName();
  await earlier(job, '2026-11-19');
  assert.equal(await previousOf(job, { purpose: 'sample' }), null);
});

/** How the money moved between two nights of these contracts. */
async function changesOf(before: readonly SeededContract[], now: readonly SeededContract[]) {
  const job = jobName();
  await earlier(job, '2026-11-19', { contracts: before });
  const { changes, notComparable } = (await previousOf(job, { contracts: now }))!;
  return { changes, notComparable };
}

test('money that came, went and changed is told apart, per currency', async () => {
  const { changes, notComparable } = await changesOf(
    [
      { key: 'same', amount: '1.00' },
      { key: 'gone', amount: '2.00' },
      { key: 'more', amount: '4.00' },
      { key: 'moved', amount: '16.00' },
    ],
    [
      { key: 'same', amount: '1.00' },
      { key: 'new', amount: '8.00' },
      { key: 'more', amount: '4.50' },
      { key: 'moved', amount: '16.00', currency: 'USD' },
    ],
  );
  assert.deepEqual(changes, [
    {
      column: 'amount',
      currency: 'EUR',
      before: '23.00',
      added: '8.00',
      removed: '2.00',
      changed: '-15.50',
      after: '13.50',
    },
    {
      column: 'amount',
      currency: 'USD',
      before: '0.00',
      added: '0.00',
      removed: '0.00',
      changed: '16.00',
      after: '16.00',
    },
  ]);
  assert.deepEqual(notComparable, []);
});

test('a contract whose amount is not known on both nights cannot be compared; a failed one whose amount is known can', async () => {
  const { changes, notComparable } = await changesOf(
    [
      { key: 'a', amount: '1.00' },
      { key: 'b', amount: '2.00' },
      { key: 'c', amount: null, outcome: 'failed' },
    ],
    [
      { key: 'a', amount: '3.00', outcome: 'failed' },
      { key: 'b', amount: null, outcome: 'failed' },
      { key: 'c', amount: '4.00' },
    ],
  );
  const [eur] = changes;
  assert.deepEqual(
    [eur?.before, eur?.added, eur?.removed, eur?.changed, eur?.after],
    ['3.00', '0.00', '0.00', '2.00', '7.00'],
  );
  assert.deepEqual(notComparable, [{ column: 'amount', currency: 'EUR', contracts: 2, before: '2.00', after: '4.00' }]);
});
