import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { startCluster, killServer, type TestCluster } from '../../support/cluster.ts';
import { assertAllPass, until } from '../../support/night.ts';
import {
  assertSentence,
  contracts,
  loadedKeys,
  slowNight,
  someChunks,
  targetRows,
  undisturbedRows,
} from '../../support/slow-night.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';

// What was acknowledged has to survive a kill, though not a power cut.
const cluster = async (t: TestContext): Promise<TestCluster> => {
  const started = await startCluster({ settings: { synchronous_commit: 'on' } });
  t.after(async () => started[Symbol.asyncDispose]());
  return started;
};

const isCopy = (bytes: Buffer): boolean => bytes.includes('COPY pg_temp');

describe('Postgres goes away in the middle of a run', { concurrency: 4 }, () => {
  for (const { how, away } of [
    { how: 'killed in the middle of COPY', away: async (server: TestCluster) => server.kill() },
    { how: 'restarted by an administrator in the middle of COPY', away: async (server: TestCluster) => server.stop() },
  ])
    test(`${how}: the run waits for it, and finishes the night`, async (t) => {
      const server = await cluster(t);
      await using proxy = await startTcpProxy(server.url);
      const { simulator, night } = await slowNight(t, { databaseUrl: proxy.url });
      const running = night.start('run', 'job.yaml');
      await someChunks(server.url, running);
      await proxy.arrestWhen({ direction: 'toServer', matches: isCopy, pass: true });
      await away(server);
      // The one that stands still would not tell its client.
      proxy.cut();
      await until(() => running.output().stderr.includes('Postgres is asked again'), running.ended);
      await server.start();
      const ended = await running.ended;
      assert.equal(ended.exitCode, 0, ended.stderr);
      assert.deepEqual(await targetRows(server.url), await undisturbedRows(t));
      const { crm } = await simulator.statistics();
      assert.equal(crm.records.requests, contracts, 'nothing is fetched twice');
      const { run, counts, controls } = await night.report();
      assert.deepEqual([run.status, counts.enriched, counts.failed], ['succeeded', contracts, 0]);
      assertAllPass(controls);
    });

  test('killed for good: the run ends by itself with a sentence, and the next one finishes the night', async (t) => {
    const server = await cluster(t);
    const { simulator, night } = await slowNight(t, { databaseUrl: server.url });
    const running = night.startProcess('run', 'job.yaml', '--database-wait', '1s');
    await someChunks(server.url, running);
    await server.kill();
    const ended = await running.ended;
    assert.equal(ended.exitCode, 1, ended.stderr);
    assertSentence(ended, /the connection to Postgres was lost.*the same command continues from there/);

    await server.start();
    const loaded = await loadedKeys(server.url);
    assert(loaded.length > 0 && loaded.length < contracts);
    await simulator.reset();
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.deepEqual(await targetRows(server.url), await undisturbedRows(t));
    const { crm } = await simulator.statistics();
    assert.equal(crm.records.requests, contracts - loaded.length, 'a committed contract is not asked for again');
    const { attempts } = await night.report();
    assert.deepEqual(
      attempts.map(({ status }) => status),
      ['crashed', 'succeeded'],
    );
  });

  test('it comes back as a standby: the run waits, ends with a sentence, and the next one asks no API', async (t) => {
    const server = await cluster(t);
    const { simulator, night } = await slowNight(t, { databaseUrl: server.url });
    const running = night.start('run', 'job.yaml', '--database-wait', '4s');
    await someChunks(server.url, running);
    await server.stop();
    await server.demote();
    await server.start();
    const ended = await running.ended;
    assert.equal(ended.exitCode, 1, ended.stderr);
    assertSentence(ended, /read-only transaction.*the same command continues from there/);
    await simulator.reset();
    const refused = await night.nightfill('run', 'job.yaml');
    assert.equal(refused.exitCode, 2, refused.stderr);
    assertSentence(refused, /is read-only, because it is a standby/);
    assert.equal((await simulator.statistics()).crm.requests, 0);
  });

  test('the embedded one is killed: the run ends with a sentence, and the next one starts it and finishes', async (t) => {
    const { night } = await slowNight(t, { databaseUrl: null });
    const running = night.startProcess('run', 'job.yaml', '--database-wait', '1s');
    const address = async (): Promise<string> => (await night.read('.nightfill/postgres/url')).trim();
    await until(
      async () =>
        address().then(
          () => true,
          () => false,
        ),
      running.ended,
    );
    await someChunks(await address(), running);
    await killServer(path.join(night.folder, '.nightfill/postgres/data'));
    const ended = await running.ended;
    assert.equal(ended.exitCode, 1, ended.stderr);
    assertSentence(ended, /the connection to Postgres was lost.*the same command continues from there/);
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    const { counts, attempts } = await night.report();
    assert.deepEqual([counts.enriched, counts.failed, counts.notStarted], [contracts, 0, 0]);
    assert.deepEqual(
      attempts.map(({ status }) => status),
      ['crashed', 'succeeded'],
    );
  });
});
