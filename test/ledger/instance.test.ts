import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  completeInstance,
  createInstance,
  findInstance,
  hasLoadedRows,
  isReplaced,
  reopenInstance,
  type Instance,
  type Purpose,
} from '../../src/ledger/instance.ts';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';

const date = { job: 'nightly', businessDate: '2026-11-20' };

const plan = async (database: Queryable, purpose: Purpose = 'night', id: string = randomUUID()): Promise<Instance> =>
  createInstance(database, {
    ...date,
    id,
    purpose,
    timezone: 'UTC',
    target: 'public.contracts',
    targetKey: ['id'],
    configSha256: 'a'.repeat(64),
  });

/** A chunk of one contract, as it stands after its attempt. */
const storeChunk = async (
  database: Queryable,
  { id }: Instance,
  o: { status: string; inserted?: number; heldBack?: boolean },
): Promise<void> => {
  await database.query(
    `INSERT INTO nightfill.chunk (instance, number, lease, contracts, status, enriched, inserted)
     VALUES ($1, 1, gen_random_uuid(), 1, $2, 1, $3)`,
    [id, o.status, o.inserted ?? 0],
  );
  if (o.heldBack)
    await database.query(
      `INSERT INTO nightfill.staged (instance, chunk, attempt, layout, key, position, cells)
       VALUES ($1, 1, 1, 'layout', 'one', 1, '{}')`,
      [id],
    );
};

describe('instances of a job and date', { concurrency: true }, () => {
  test('the latest of a purpose is found, and replaces those before it', async (t) => {
    const { database } = await createDatabase(t);
    const first = await plan(database);
    const second = await plan(database);
    await plan(database, 'sample');
    assert.deepEqual(await findInstance(database, { ...date, purpose: 'night' }), second);
    assert.deepEqual([await isReplaced(database, first.id), await isReplaced(database, second.id)], [true, false]);
    assert.equal(await findInstance(database, { ...date, purpose: 'dry-run' }), undefined);
  });

  test('one that is created again, because the answer to its COMMIT was lost, is the same', async (t) => {
    const { database } = await createDatabase(t);
    const id = randomUUID();
    const first = await plan(database, 'night', id);
    assert.deepEqual(await plan(database, 'night', id), first);
    const { rows } = await database.query('SELECT generation FROM nightfill.instance');
    assert.deepEqual(rows, [{ generation: 1 }]);
  });

  test('one whose listing has not ended is not completed', async (t) => {
    const { database } = await createDatabase(t);
    const { id } = await plan(database);
    assert.equal(await completeInstance(database, id), false);
  });

  test('a plan is complete once every chunk succeeded, and open again when it is worked on anew', async (t) => {
    const { database } = await createDatabase(t);
    const instance = await plan(database);
    await database.query(`UPDATE nightfill.instance SET status = 'planned'`);
    await storeChunk(database, instance, { status: 'succeeded', inserted: 1 });
    assert.equal(await hasLoadedRows(database, instance.id), true);
    assert.equal(await completeInstance(database, instance.id), true);
    await reopenInstance(database, instance.id);
    assert.equal((await findInstance(database, { ...date, purpose: 'night' }))!.status, 'planned');
  });

  test('rows held back for the switch are not loaded, and keep the plan from being complete', async (t) => {
    const { database } = await createDatabase(t);
    const instance = await plan(database);
    await database.query(`UPDATE nightfill.instance SET status = 'planned'`);
    await storeChunk(database, instance, { status: 'succeeded', heldBack: true });
    assert.equal(await hasLoadedRows(database, instance.id), false);
    assert.equal(await completeInstance(database, instance.id), false);
  });
});
