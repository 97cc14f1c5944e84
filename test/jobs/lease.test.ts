import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { takeLease, type Lease } from '../../src/jobs/lease.ts';
import { Database, DatabaseGoneError } from '../../src/sinks/postgres.ts';
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

describe('a lease whose database is away', () => {
  test('is given up when nothing was answered for as long as the run waits for its database', async (t) => {
    const { lease, clock, proxy } = await heldLease(t);
    proxy.hold();
    await clock.advance(59_999);
    assert.equal(lease.lost.aborted, false);
    await clock.advance(1);
    assert(lease.lost.reason instanceof DatabaseGoneError);
    assert.match(lease.lost.reason.message, /Postgres does not answer any more\. Gave up after 60 s\. The run ends/);
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
