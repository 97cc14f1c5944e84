import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createDatabase } from '../../support/database.ts';
import { until, type Running } from '../../support/night.ts';
import { simulatedJob } from '../../support/simulated-job.ts';
import {
  assertSentence,
  contracts,
  loadedKeys,
  slowNight,
  someChunks,
  targetRows,
  undisturbedRows,
} from '../../support/slow-night.ts';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';

/** Latency that can be switched on: up to `most` milliseconds each way, never the same twice. */
function jitter(): { most: number; delay: () => number } {
  const latency = { most: 0, delay: () => Math.random() * latency.most };
  return latency;
}

function resetAtCopy(proxy: TcpProxy): void {
  let done = false;
  const matches = (bytes: Buffer): boolean => {
    if (!done && bytes.includes('COPY pg_temp')) {
      done = true;
      proxy.reset();
    }
    return false;
  };
  proxy.cutWhen({ direction: 'toServer', pass: false, matches });
}

describe('the network to Postgres fails in the middle of a run', { concurrency: 6 }, () => {
  for (const { how, fail } of [
    { how: 'becomes slow', fail: (_proxy: TcpProxy, latency: { most: number }) => void (latency.most = 60) },
    { how: 'resets its connections in the middle of a COPY', fail: resetAtCopy },
  ])
    test(`it ${how}: the night is finished all the same`, async (t) => {
      const { url } = await createDatabase(t, { template: 'empty' });
      const latency = jitter();
      await using proxy = await startTcpProxy(url, { delay: latency.delay });
      const { simulator, night } = await slowNight(t, { databaseUrl: proxy.url });
      const running = night.start('run', 'job.yaml');
      await someChunks(url, running);
      fail(proxy, latency);
      const ended = await running.ended;
      assert.equal(ended.exitCode, 0, ended.stderr);
      assert.deepEqual(await targetRows(url), await undisturbedRows(t));
      assert.equal((await simulator.statistics()).crm.records.requests, contracts, 'nothing is fetched twice');
    });

  for (const { how, fail } of [
    { how: 'swallows every byte and keeps connections open', fail: (proxy: TcpProxy) => proxy.hold() },
    {
      how: 'loses the server, and the client is not told',
      fail(proxy: TcpProxy) {
        proxy.hold();
        proxy.abandon('server');
      },
    },
  ])
    test(`it ${how}: the run ends by itself, and the next one finishes the night`, async (t) => {
      const { url } = await createDatabase(t, { template: 'empty' });
      await using proxy = await startTcpProxy(url);
      const { simulator, night } = await slowNight(t, { databaseUrl: `${proxy.url}?connect_timeout=1` });
      const running = night.startProcess('run', 'job.yaml', '--database-wait', '2s');
      await someChunks(url, running);
      fail(proxy);
      const ended = await running.ended;
      assert.equal(ended.exitCode, 1, ended.stderr);
      assertSentence(ended, /Postgres.*the same command continues from there/);
      const loaded = await loadedKeys(url);
      assert(loaded.length < contracts);
      await simulator.reset();
      night.environment['DATABASE_URL'] = url;
      const again = await night.nightfill('run', 'job.yaml', '--database-wait', '90s');
      assert.equal(again.exitCode, 0, again.stderr);
      assert.deepEqual(await targetRows(url), await undisturbedRows(t));
      const { crm } = await simulator.statistics();
      assert.equal(crm.records.requests, contracts - loaded.length, 'a committed contract is not asked for again');
    });
});

describe('the network to an API fails in the middle of a run', { concurrency: 6 }, () => {
  const impatient = { api: { limits: { concurrency: 2 }, timeout: '1s' }, chunk: { size: 10 } };

  for (const { how, fail, mend } of [
    { how: 'becomes slow', fail: (_: TcpProxy, latency: { most: number }) => void (latency.most = 60) },
    { how: 'resets its connections', fail: (proxy: TcpProxy) => proxy.reset() },
    { how: 'closes connections, and the server is not told', fail: (proxy: TcpProxy) => proxy.abandon('client') },
    { how: 'loses the server, and the client is not told', fail: (proxy: TcpProxy) => proxy.abandon('server') },
    {
      how: 'swallows every byte for a while',
      fail: (proxy: TcpProxy) => proxy.hold(),
      mend: async (proxy: TcpProxy, running: Running) => {
        await until(() => running.output().stderr.includes('request is repeated'), running.ended);
        proxy.resume();
      },
    },
  ])
    test(`it ${how}: requests are repeated and the night is finished`, async (t) => {
      const { simulator, night } = await slowNight(t);
      const latency = jitter();
      await using proxy = await startTcpProxy(simulator.crmUrl, { delay: latency.delay });
      await night.write('job.yaml', simulatedJob({ ...simulator, crmUrl: proxy.url.replace(/\/$/, '') }, impatient));
      night.environment['NIGHTFILL_LOG_LEVEL'] = 'debug';
      const running = night.start('run', 'job.yaml');
      await someChunks(night.databaseUrl, running);
      fail(proxy, latency);
      await mend?.(proxy, running);
      const ended = await running.ended;
      assert.equal(ended.exitCode, 0, ended.stderr);
      assert.deepEqual(await targetRows(night.databaseUrl), await undisturbedRows(t));
    });

  test('it swallows every byte for good: the run waits until it has to end, fails nothing it did not ask, and the next one asks only for what is missing', async (t) => {
    const { simulator, night } = await slowNight(t);
    await using proxy = await startTcpProxy(simulator.crmUrl);
    await night.write(
      'job.yaml',
      simulatedJob(
        { ...simulator, crmUrl: proxy.url.replace(/\/$/, '') },
        {
          api: { limits: { concurrency: 20 }, timeout: '500ms', retry: { attempts: 2, maxElapsed: '2s' } },
          chunk: { size: 10 },
        },
      ),
    );
    // In the midst of the contracts' answers: the listing is there by then, and some chunks are.
    let pieces = 0;
    const matches = (): boolean => {
      pieces += 1;
      if (pieces === contracts / 2) proxy.hold();
      return false;
    };
    proxy.cutWhen({ direction: 'toClient', pass: false, matches });
    const running = night.start('run', 'job.yaml', '--finish-by', new Date(Date.now() + 10_000).toISOString());
    const ended = await running.ended;
    assert.ok(ended.exitCode === 6 || ended.exitCode === 3, ended.stderr);
    const { failures, counts } = await night.report();
    assert(failures.every((failure) => failure.class === 'transient'));
    assert.equal(counts.enriched + counts.failed + counts.notStarted, counts.listed);
    assert.ok(counts.notStarted > 0);
    const loaded = await loadedKeys(night.databaseUrl);
    assert.equal(loaded.length, counts.enriched);

    // Patient again: on a busy machine half a second is not enough for every answer.
    await night.write('job.yaml', simulatedJob(simulator));
    await simulator.reset();
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.equal((await simulator.statistics()).crm.records.requests, contracts - loaded.length);
    assert.deepEqual(await targetRows(night.databaseUrl), await undisturbedRows(t));
  });
});
