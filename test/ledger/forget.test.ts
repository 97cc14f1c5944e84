import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hiddenInstances, hideInstance, parts, sweep } from '../../src/ledger/forget.ts';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';
import { startNight } from '../support/night.ts';
import { listAndLookUp, scriptedNight } from '../support/scripted-job.ts';
import { seedNights } from '../support/seeded-ledger.ts';

/** Rows per table, of tables that have any. */
async function rowsIn(database: Queryable): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of ['instance', 'run', 'report', ...parts.map((part) => part.table)]) {
    const { rows } = await database.query<{ rows: number }>(`SELECT count(*)::integer AS rows FROM nightfill.${table}`);
    if (rows[0]!.rows > 0) counts[table] = rows[0]!.rows;
  }
  return counts;
}

const everything = { contracts: 60, chunkSize: 20, failedEvery: 10, staleEvery: 7, staged: true, report: '{}' };

describe('forgetting an instance', { concurrency: true }, () => {
  test('every table of the ledger that names an instance is swept or deleted with it', async (t) => {
    const { database } = await createDatabase(t);
    const { rows } = await database.query<{ table: string; constrained: boolean }>(
      `SELECT relname AS table, EXISTS (SELECT FROM pg_constraint WHERE conrelid = pg_class.oid AND confrelid <> 0) AS constrained
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
       WHERE relnamespace = 'nightfill'::regnamespace AND relkind = 'r' AND attname = 'instance' ORDER BY 1`,
    );
    const swept: string[] = parts.map(({ table }) => table);
    assert.deepEqual(
      rows.filter(({ constrained }) => !constrained).map(({ table }) => table),
      swept.toSorted(),
    );
  });

  test('sweeping deletes all of one instance, nothing of another, and no more than 10,000 rows at once', async (t) => {
    const { database } = await createDatabase(t);
    const [large] = await seedNights(database, { ...everything, contracts: 10_001, chunkSize: 5_000 });
    await seedNights(database, { ...everything, date: '2026-11-21' });
    const other = await seedNights(database, { ...everything, date: '2026-11-21', job: 'other' });
    assert.equal(await hideInstance(database, other[0]!.instance), 'hidden');
    await sweep(database, other[0]!.instance);
    const small = await rowsIn(database);
    assert.equal(await sweep(database, large!.instance), 0, 'while it is there nothing is swept');
    assert.deepEqual(await rowsIn(database), small);

    assert.equal(await hideInstance(database, large!.instance), 'hidden');
    const steps: number[] = [];
    await sweep(database, large!.instance, { onRows: (rows) => steps.push(rows) });
    assert.deepEqual(steps.slice(0, 4), [10_000, 1, 10_000, 1], 'contracts, then their amounts');
    assert.deepEqual(await rowsIn(database), {
      instance: 1,
      run: 1,
      report: 1,
      chunk: 3,
      chunk_attempt: 3,
      chunk_amount: 6,
      contract: 60,
      contract_amount: 60,
      failure: 6,
      stale: 8,
      staged: 54,
    });
  });

  test('what a prune that was killed left is seen by nobody, and swept by the next', async (t) => {
    const night = await startNight(t);
    const { database } = night;
    await seedNights(database, { ...everything, nights: 3, date: '2020-01-03', job: 'old' });
    const [latest] = await night.query<{ id: string }>(
      `SELECT id FROM nightfill.instance WHERE business_date = '2020-01-03'`,
    );
    const [oldest] = await night.query<{ id: string }>(
      `SELECT id FROM nightfill.instance WHERE business_date = '2020-01-01'`,
    );
    await hideInstance(database, oldest!.id);
    const killed = sweep(database, oldest!.id, {
      onRows: () => {
        throw new Error('killed');
      },
    });
    await assert.rejects(killed, /killed/);
    assert.equal((await rowsIn(database))['contract'], 120, 'a step is committed by itself');
    assert.deepEqual(await hiddenInstances(database), [oldest!.id]);
    const runs = JSON.parse((await night.nightfill('runs', '--json')).stdout) as { businessDate: string }[];
    assert.deepEqual(
      runs.map(({ businessDate }) => businessDate),
      ['2020-01-03', '2020-01-02'],
    );
    const pruned = await night.nightfill('prune', '--keep', '400d');
    assert.equal(
      pruned.stdout,
      'forgot 1 plan of 1 business date with 1 run; 1 as old stays, because a run or a comparison may still need it\n',
      pruned.stderr,
    );
    assert.deepEqual(await hiddenInstances(database), []);
    const { rows } = await database.query(`SELECT DISTINCT instance AS id FROM nightfill.contract`);
    assert.deepEqual(rows, [latest]);
  });

  test('an instance that a run is at work on is not hidden', async (t) => {
    const { database } = await createDatabase(t);
    const [night] = await seedNights(database, { contracts: 1 });
    await database.query(
      `INSERT INTO nightfill.lease (job, token, run, host, process_id, process_born, renewed_at, expires_at)
       VALUES ('seeded', $1, $1, 'h', 1, '', now(), now() + interval '1 min')`,
      [night!.run],
    );
    assert.equal(await hideInstance(database, night!.instance), 'at-work');
    await database.query(`UPDATE nightfill.lease SET expires_at = now() - interval '1 s'`);
    assert.equal(await hideInstance(database, night!.instance), 'hidden');
    assert.equal(await hideInstance(database, night!.instance), 'gone');
  });

  test('a dry run and a start whose credentials are refused leave no rows behind', async (t) => {
    // As many as are refused in a row when it is the credentials' fault.
    const records = ['A', 'B', 'C', 'D', 'E', 'F'].map((id) => ({ id }));
    const { night, server } = await scriptedNight(t, { script: listAndLookUp(records) });
    const run = async (...options: string[]) =>
      night.nightfill('run', 'job.yaml', '--report', 'report.json', ...options);
    const dry = await run('--dry-run');
    assert.equal(dry.exitCode, 0, dry.stderr);
    assert.deepEqual(await rowsIn(night.database), {});
    server.answerWith(({ url }) => (url === '/contracts' ? { json: { data: records } } : { status: 401, json: {} }));
    const refused = await run();
    assert.equal(refused.exitCode, 2, refused.stderr);
    assert.deepEqual(await rowsIn(night.database), {});
  });

  test('rows that belong to an instance deleted by hand are found and swept', async (t) => {
    const { database } = await createDatabase(t);
    await seedNights(database, { ...everything, nights: 2 });
    await database.query(`DELETE FROM nightfill.instance WHERE business_date < '2026-11-20'`);
    const [left] = await hiddenInstances(database);
    await sweep(database, left!);
    assert.deepEqual(await hiddenInstances(database), []);
    assert.equal((await rowsIn(database))['contract'], 60);
  });
});
