import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNightStatus } from '../../../src/ledger/history/night-status.ts';
import { createInstance, type Purpose } from '../../../src/ledger/instance.ts';
import { createDatabase } from '../../support/database.ts';

test("a job without nights, a date without a night and a date's latest plan are told apart", async (t) => {
  const { database } = await createDatabase(t);
  const plan = async (businessDate: string, purpose: Purpose): Promise<unknown> =>
    createInstance(database, {
      id: randomUUID(),
      job: 'nightly',
      businessDate,
      purpose,
      timezone: 'UTC',
      target: 'public.contracts',
      targetKey: ['id'],
      configSha256: 'a'.repeat(64),
    });
  const status = async (businessDate: string): Promise<unknown> =>
    readNightStatus(database, { job: 'nightly', businessDate });
  await plan('2026-11-20', 'sample');
  assert.equal(await status('2026-11-20'), undefined);
  await plan('2026-11-20', 'night');
  await database.query(`UPDATE nightfill.instance SET status = 'complete'`);
  assert.deepEqual(await status('2026-11-20'), { status: 'complete' });
  assert.deepEqual(await status('2026-11-21'), { status: null });
  await plan('2026-11-20', 'night');
  assert.deepEqual(await status('2026-11-20'), { status: 'planning' });
});
