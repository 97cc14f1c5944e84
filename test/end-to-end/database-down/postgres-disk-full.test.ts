import { execFile } from 'node:child_process';
import { mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { startCluster } from '../../support/cluster.ts';
import { addressOf, execute } from '../../support/database.ts';
import { until } from '../../support/night.ts';
import { contracts, loadedKeys, slowNight, someChunks, targetRows, undisturbedRows } from '../../support/slow-night.ts';

const run = promisify(execFile);

/** A disk of one megabyte of its own; undefined where this process may not make one. */
async function smallDisk(t: TestContext): Promise<string | undefined> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0777', 'nightfill-test', folder]);
  } catch {
    await rmdir(folder);
    return undefined;
  }
  t.after(async () => {
    await run('umount', ['-l', folder]);
    await rmdir(folder);
  });
  return folder;
}

const server = await startCluster();
after(async () => server[Symbol.asyncDispose]());

describe('the disk of Postgres', { concurrency: true }, () => {
  for (const { title, wait } of [
    { title: 'that is full for a moment costs a pause', wait: '2m' },
    { title: 'that stays full ends the run, and the next one finishes when there is room', wait: '2s' },
  ])
    test(title, async (t) => {
      const disk = await smallDisk(t);
      if (!disk) return t.skip('no disk can be mounted here: needs root and the right to mount');
      const own = `small_${wait}`;
      await execute(server.url, `CREATE TABLESPACE ${own} LOCATION '${disk}'`, `CREATE DATABASE ${own}`);
      const url = addressOf(server.url, own);
      const { simulator, night } = await slowNight(t, { databaseUrl: url });
      const running = night.start('run', 'job.yaml', '--database-wait', wait);
      await someChunks(url, running);
      await execute(url, `ALTER TABLE enriched SET TABLESPACE ${own}`);
      const filler = path.join(disk, 'filler');
      await writeFile(filler, Buffer.alloc(2 ** 20)).catch(() => undefined);
      if (wait === '2m') {
        await until(() => running.output().stderr.includes('No space left on device'), running.ended);
        await rm(filler);
        const ended = await running.ended;
        assert.equal(ended.exitCode, 0, ended.stderr);
        assert.equal((await simulator.statistics()).crm.records.requests, contracts);
      } else {
        const ended = await running.ended;
        assert.equal(ended.exitCode, 1, ended.stderr);
        const { run: closed, counts } = await night.report();
        assert.match(closed.reason ?? '', /No space left on device.*the same command continues from there/);
        assert.equal(counts.failed, 0);
        const loaded = await loadedKeys(url);
        assert(loaded.length > 0 && loaded.length < contracts);
        await rm(filler);
        await simulator.reset();
        const again = await night.nightfill('run', 'job.yaml');
        assert.equal(again.exitCode, 0, again.stderr);
        assert.equal((await simulator.statistics()).crm.records.requests, contracts - loaded.length);
      }
      assert.deepEqual(await targetRows(url), await undisturbedRows(t));
    });
});
