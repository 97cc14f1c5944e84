import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { takeLease, type Lease } from '../../src/ledger/lease.ts';
import { thisProcess } from '../../src/ledger/process-identity.ts';
import { Database, DatabaseGoneError } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

/** A lease held over a connection that can fail, by a clock of its own. */
async function heldLease(
  t: TestContext,
): Promise<{ lease: Lease; clock: FakeClock; proxy: TcpProxy; renewedAt: () => Promise<string> }> {
  const { url, database: direct } = await createDatabase(t);
  const proxy = await startTcpProxy(url);
  const database = await Database.open({ config: { connectionString: proxy.url }, description: 'the test database' });
  t.after(async () => {
    await proxy[Symbol.asyncDispose]();
    await database.close();
  });
  const clock = new FakeClock();
  const lease = await takeLease({
    job: 'night',
    run: randomUUID(),
    database,
    clock,
    databaseWaitMs: 60_000,
    ifRunning: 'fail',
    signal: new AbortController().signal,
  });
  const renewedAt = async (): Promise<string> =>
    (await direct.query<{ at: string }>('SELECT renewed_at AS at FROM nightfill.lease')).rows[0]!.at;
  return { lease, clock, proxy, renewedAt };
}

const take = async (database: Database): Promise<Lease> =>
  takeLease({
    job: 'night',
    run: randomUUID(),
    database,
    clock: new FakeClock(),
    databaseWaitMs: 60_000,
    ifRunning: 'fail',
    signal: new AbortController().signal,
  });

test('a lease that an earlier run of this process could not give back is taken at once', async (t) => {
  const { database } = await createDatabase(t);
  const first = await take(database);
  await assert.rejects(take(database), { code: 'JOB_RUNNING' }, 'while it is held');
  await database.query(`CREATE RULE no_delete AS ON DELETE TO nightfill.lease DO INSTEAD NOTHING`);
  await first[Symbol.asyncDispose]();
  await database.query(`DROP RULE no_delete ON nightfill.lease`);
  await using second = await take(database);
  assert.notEqual(second.token, first.token);
  await assert.rejects(take(database), { code: 'JOB_RUNNING' }, 'while it is held again');
});

describe(
  'a lease that has run out',
  { skip: process.platform !== 'linux' && 'only Linux tells births and states' },
  () => {
    /** Fields 3 and 22 of /proc/PID/stat; the name of the process holds no blank. */
    const statOf = (pid: number): { state: string; born: string } => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
      return { state: fields[2]!, born: fields[21]! };
    };

    test('is left to a holder that lives on this machine, and taken from one that is stopped or has ended', async (t) => {
      const { database } = await createDatabase(t);
      const holder = spawn('sleep', ['60']);
      t.after(() => holder.kill('SIGKILL'));
      const pid = holder.pid!;
      const hold = async (): Promise<void> => {
        await database.query('DELETE FROM nightfill.lease');
        await database.query(
          `INSERT INTO nightfill.lease VALUES ('night', $1, $1, $2, $3, $4, now() - interval '1 hour', now() - interval '30 minutes')`,
          [randomUUID(), thisProcess().host, pid, statOf(pid).born],
        );
      };
      await hold();
      await assert.rejects(take(database), {
        code: 'JOB_RUNNING',
        message: new RegExp(
          `process ${pid} on .*still running on this machine, .*not taken over.*end process ${pid} if it hangs`,
        ),
      });
      holder.kill('SIGSTOP');
      while (statOf(pid).state !== 'T') await delay(5);
      await (await take(database))[Symbol.asyncDispose]();
      await hold();
      holder.kill('SIGCONT');
      while (statOf(pid).state === 'T') await delay(5);
      await assert.rejects(take(database), { code: 'JOB_RUNNING' });
      holder.kill('SIGKILL');
      await new Promise((resolve) => {
        holder.once('close', resolve);
      });
      await (await take(database))[Symbol.asyncDispose]();
    });

    test('is left to a run of this very process, and taken when that run is over and could not give it back', async (t) => {
      const { database } = await createDatabase(t);
      const lease = await take(database);
      const expire = `UPDATE nightfill.lease SET expires_at = now() - interval '1 minute'`;
      await database.query(expire);
      await assert.rejects(take(database), { code: 'JOB_RUNNING' });
      const { rows } = await database.query('SELECT * FROM nightfill.lease');
      await lease[Symbol.asyncDispose]();
      await database.query(
        'INSERT INTO nightfill.lease SELECT * FROM json_populate_record(NULL::nightfill.lease, $1)',
        [JSON.stringify(rows[0])],
      );
      await (await take(database))[Symbol.asyncDispose]();
    });
  },
);

describe('a lease whose database is away', () => {
  test('is given up when nothing was answered for as long as the run waits for its database', async (t) => {
    const { lease, clock, proxy } = await heldLease(t);
    proxy.hold();
    await clock.advance(59_999);
    assert.equal(lease.lost.aborted, false);
    await clock.advance(1);
    assert(lease.lost.reason instanceof DatabaseGoneError);
    assert.match(lease.lost.reason.message, /Postgres no longer answers\. Gave up after 60 s\. The run ends/);
    // Giving it back is tried, and not for ever.
    await clock.finish(Promise.resolve(lease[Symbol.asyncDispose]()));
  });

  test('is kept when it can be renewed before that', async (t) => {
    const { lease, clock, proxy, renewedAt } = await heldLease(t);
    for (let round = 0; round < 3; round += 1) {
      const before = await renewedAt();
      proxy.cut();
      for (let beats = 0; beats < 5 && (await renewedAt()) === before; beats += 1) {
        await clock.advance(5_000);
        await delay(100);
      }
      while ((await renewedAt()) === before) await delay(10);
    }
    await clock.advance(5_000);
    assert.equal(lease.lost.aborted, false);
    await lease[Symbol.asyncDispose]();
  });
});
