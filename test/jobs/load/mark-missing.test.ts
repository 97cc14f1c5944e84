import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { markMissing } from '../../../src/jobs/load/mark-missing.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { rememberRows } from '../../../src/ledger/loaded-row.ts';
import type { Marking } from '../../../src/report/figures.ts';
import { prepareTarget, type TargetTable } from '../../../src/sinks/target/target-table.ts';
import { createDatabase } from '../../support/database.ts';
import { declare } from '../../support/load-fixture.ts';
import { seedNight, type SeededContract, type SeededNightOptions } from '../../support/seeded-night.ts';

const { database } = await createDatabase({ after });

const columns = { id: 'text', currency: 'text', amount: 'numeric(12,2)' };
let tables = 0;

/** A job that marks, with contracts of its own in a table of its own, loaded by a night of the 19th. */
async function markingJob(loaded: readonly string[], { missing = 'mark' as 'mark' | 'keep', markAtMost = 0.5 } = {}) {
  const name = `marked_${++tables}`;
  const target = await database.withTransaction(async (client) =>
    prepareTarget(client, { ...declare(columns, { name }), missing }),
  );
  const job = {
    name,
    load: { markAtMost },
    controls: [{ type: 'sum', column: 'amount', by: 'currency' }],
  } as unknown as Job;
  const before = await seedNight(database, { job: name, date: '2026-11-19', contracts: loaded.map(contract) });
  await load({ job, target, instance: before.instance, keys: loaded });
  return { job, target };
}

const contract = (key: string): SeededContract => ({ key });

async function load(o: { job: Job; target: TargetTable; instance: string; keys: readonly string[] }): Promise<void> {
  await database.query(
    `INSERT INTO ${o.target.name} (id, currency, amount) SELECT key, 'EUR', 1.50 FROM unnest($1::text[]) AS key
     ON CONFLICT DO NOTHING`,
    [o.keys],
  );
  const rows = o.keys.map((key) => ({ contract: { key }, row: [key, 'EUR', '1.50'] }));
  await rememberRows(database, { job: o.job.name, instance: o.instance, target: o.target, loaded: rows });
}

/** Closes a night of the 20th, with what its listing has. */
async function close(
  { job, target }: Awaited<ReturnType<typeof markingJob>>,
  night: Omit<SeededNightOptions, 'job'>,
  { dryRun = false } = {},
): Promise<Marking | null> {
  const { instance, date } = await seedNight(database, { job: job.name, ...night });
  return database.withTransaction(async (client) =>
    markMissing(client, { job, instance, businessDate: date, target, dryRun }),
  );
}

/** `c since 2026-11-20` of each marked row. */
async function marks({ target }: { target: TargetTable }): Promise<string[]> {
  const { rows } = await database.query<{ mark: string }>(
    `SELECT id || ' since ' || missing_since AS mark FROM ${target.name} WHERE missing_since IS NOT NULL ORDER BY id`,
  );
  return rows.map(({ mark }) => mark);
}

const abc = ['a', 'b', 'c'];
const ab = { contracts: [{ key: 'a' }, { key: 'b' }] };

test('the rows of contracts that are not listed any more are marked with the date, and their money is told', async () => {
  const marking = await markingJob(abc);
  assert.deepEqual(await close(marking, ab), {
    contracts: 1,
    tonight: 1,
    amounts: [{ column: 'amount', currency: 'EUR', amount: '1.50' }],
    reason: null,
    control: { expected: 1, actual: 1 },
  });
  assert.deepEqual(await marks(marking), ['c since 2026-11-20']);
});

test('a mark keeps its first date, however often the listing lacks the contract', async () => {
  const marking = await markingJob([...abc, 'd']);
  await close(marking, { contracts: abc.map(contract) });
  const later = await close(marking, { ...ab, date: '2026-11-21' });
  assert.deepEqual([later?.contracts, later?.tonight, later?.control], [2, 1, { expected: 2, actual: 2 }]);
  assert.deepEqual(await marks(marking), ['c since 2026-11-21', 'd since 2026-11-20']);
});

test('a contract that is listed is not marked, whatever became of it', async () => {
  const marking = await markingJob(abc);
  const outcomes = ['failed', 'degraded', 'not-started'] as const;
  await close(marking, { contracts: abc.map((key, index) => ({ key, chunk: index, outcome: outcomes[index]! })) });
  assert.deepEqual(await marks(marking), []);
});

test('rows that this job has not loaded are not marked', async () => {
  const marking = await markingJob(abc);
  await database.query(`INSERT INTO ${marking.target.name} (id) VALUES ('of somebody else')`);
  await close(marking, ab);
  assert.deepEqual(await marks(marking), ['c since 2026-11-20']);
});

test('what a night begun later has listed is not missing', async () => {
  const marking = await markingJob(abc);
  const night = { job: marking.job.name, date: '2026-11-20' };
  const { instance } = await seedNight(database, { ...night, ...ab });
  await seedNight(database, { ...night, purpose: 'sample', contracts: [{ key: 'c' }] });
  await database.query(`UPDATE nightfill.instance SET created_at = now() WHERE job = $1 AND purpose = 'sample'`, [
    marking.job.name,
  ]);
  await database.withTransaction(async (client) =>
    markMissing(client, { ...marking, instance, businessDate: '2026-11-20', dryRun: false }),
  );
  assert.deepEqual(await marks(marking), []);
});

for (const [what, night, reason] of [
  ['that was cut off', { status: 'planning' }, 'the listing was cut off'],
  ['without a count of the source', { sourceTotal: null }, 'the source gave no count of its own'],
  ['whose count differs', { sourceTotal: 3 }, 'the source counts 3 contracts, and 2 records were listed'],
  ['whose count changed', { totalChanged: true }, "the source's count changed during the listing"],
  ['that shows a record twice', { duplicates: 1, sourceTotal: 3 }, /^1 of the records listed came twice/],
  [
    'with a record that has no key',
    { contracts: [...ab.contracts, { key: '(record 3 of the listing)', outcome: 'failed' }] },
    /^1 of the records listed have no usable key/,
  ],
  [
    'whose rows are held back',
    { contracts: [{ key: 'a' }, { key: 'b', outcome: 'held-back' }] },
    'the rows of this night are held back, so nothing is marked yet',
  ],
] as const satisfies readonly [string, Partial<SeededNightOptions>, string | RegExp][]) {
  test(`a listing ${what} proves nothing missing: nothing is marked, and the reason told`, async () => {
    const marking = await markingJob(abc);
    // The ledger keeps a record without a key as a contract with a problem.
    const told = await database.withTransaction(async (client) => {
      const { instance } = await seedNight(client, { job: marking.job.name, ...ab, ...night });
      await client.query(`UPDATE nightfill.contract SET problem = 'no key' WHERE instance = $1 AND key LIKE '(%'`, [
        instance,
      ]);
      return markMissing(client, { ...marking, instance, businessDate: '2026-11-20', dryRun: false });
    });
    if (typeof reason === 'string') assert.equal(told?.reason, reason);
    else assert.match(told?.reason ?? '', reason);
    assert.deepEqual([told?.contracts, told?.control], [0, null]);
    assert.deepEqual(await marks(marking), []);
  });
}

test('a night before one that was begun marks nothing: its listing is older', async () => {
  const marking = await markingJob(abc);
  await seedNight(database, { job: marking.job.name, date: '2026-11-21', contracts: [] });
  const told = await close(marking, ab);
  assert.equal(told?.reason, 'the night of 2026-11-21 has already begun, and this listing is older');
  assert.deepEqual(await marks(marking), []);
});

test('more contracts gone at once than markAtMost fail the control, and none of them is marked', async () => {
  const refused = await markingJob(abc, { markAtMost: 0.33 });
  const told = await close(refused, ab);
  assert.equal(
    told?.reason,
    '1 of 3 contracts known before are no longer listed, and load.markAtMost allows 33%; if that is right, raise it and run --again',
  );
  assert.deepEqual(told?.control, { expected: 1, actual: 0 });
  assert.deepEqual(await marks(refused), []);
  const taken = await markingJob(abc, { markAtMost: 0.34 });
  assert.equal((await close(taken, ab))?.reason, null);
});

test('a job that keeps, a sample and a dry run mark nothing and say nothing of marks', async () => {
  const keeping = await markingJob(abc, { missing: 'keep' });
  assert.equal(await close(keeping, ab), null);
  const marking = await markingJob(abc);
  assert.equal(await close(marking, { ...ab, purpose: 'sample' }), null);
  assert.equal(await close(marking, ab, { dryRun: true }), null);
  assert.deepEqual(await marks(marking), []);
});

test("a table that refuses the mark leaves the night as it is: the reason is Postgres's", async () => {
  const marking = await markingJob(abc);
  await database.query(`ALTER TABLE ${marking.target.name} ADD CONSTRAINT unmarked CHECK (missing_since IS NULL)`);
  const told = await close(marking, ab);
  assert.match(told?.reason ?? '', /unmarked/);
  assert.deepEqual(told?.control, { expected: 1, actual: 0 });
});
