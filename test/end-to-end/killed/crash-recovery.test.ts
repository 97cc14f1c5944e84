import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import pg from 'pg';
import { commitOf, copiedRows, CrashScene } from '../../support/crash-scene.ts';
import { repeats } from '../../support/long.ts';
import { startNight, until } from '../../support/night.ts';
import { listAndLookUp, scriptedJob, scriptedToken } from '../../support/scripted-job.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import type { Trap } from '../../support/tcp-proxy.ts';

// Made while the file is loaded: inside a test `after` would mean the end of that test.
const undisturbed = await (async () => {
  const scene = await CrashScene.start({ after });
  await scene.finish();
  return scene.outcome();
})();

const chunk = 'INSERT INTO nightfill.chunk_attempt';
const report = 'INSERT INTO nightfill.report';

const arrested =
  (matches: () => Trap['matches'], { pass }: { pass: boolean }) =>
  async ({ proxy }: CrashScene) =>
    proxy.arrestWhen({ direction: 'toServer', matches: matches(), pass });

describe('SIGKILL of a rerun, and rerun latest again', { concurrency: 3 }, () => {
  const points: { name: string; moment: (scene: CrashScene) => Promise<unknown>; closed?: boolean }[] = [
    { name: 'mid-fetch', moment: async (scene) => scene.hangAt((url) => url.endsWith('/c23')) },
    { name: 'before COMMIT', moment: arrested(() => commitOf(chunk, 2), { pass: false }) },
    { name: 'after COMMIT before its acknowledgement', moment: arrested(() => commitOf(chunk, 2), { pass: true }) },
    { name: 'while reporting, before COMMIT', moment: arrested(() => commitOf(report), { pass: false }) },
    { name: 'after all', moment: arrested(() => commitOf(report), { pass: true }), closed: true },
  ];
  for (const { name, moment, closed = false } of points) {
    test(name, async (t) => {
      const scene = await CrashScene.start(t);
      for (const key of ['c07', 'c23', 'c31']) scene.answer(key, 404);
      const first = await scene.night.nightfill(...scene.command('run'));
      assert.equal(first.exitCode, 4, first.stderr);
      await scene.killAt(moment(scene), { command: 'rerun' });
      const finished = await scene.finish('rerun');
      assert.match(finished.stdout, closed ? /nothing is left/ : /: succeeded/);
      assert.deepEqual(await scene.attempts(), [
        'normal controls-failed',
        ...(closed ? [] : ['rerun crashed']),
        'rerun succeeded',
      ]);
      assert.deepEqual(await scene.outcome(), undisturbed);
      scene.server.requests.length = 0;
      const third = await scene.night.nightfill(...scene.command('rerun'));
      assert.deepEqual([third.exitCode, scene.server.requests.length], [0, 0], third.stderr);
      assert.match(third.stdout, /nothing is left/);
    });
  }
});

describe('a transaction of the dead run that the server still holds open', { concurrency: 3 }, () => {
  const transactions: [string, () => Trap['matches']][] = [
    ['of a part of the plan, before COMMIT', () => commitOf('INSERT INTO nightfill.contract ', 3)],
    ['of a chunk, in the middle of COPY', () => copiedRows(3)],
    ['of a chunk, before COMMIT', () => commitOf(chunk, 3)],
    ['of the report, before COMMIT', () => commitOf(report)],
  ];
  for (const [name, matches] of transactions) {
    test(`${name}: it holds up no one, and what arrives late is not committed`, async (t) => {
      const scene = await CrashScene.start(t);
      const moment = scene.proxy.arrestWhen({
        direction: 'toServer',
        matches: matches(),
        pass: false,
        halfOpen: true,
      });
      const arrest = await scene.killAt(moment, { halfOpen: true });
      await scene.finish();
      arrest.deliver();
      arrest.close();
      await until(() => scene.proxy.atServer() === 0, new Promise(() => {}));
      assert.deepEqual(await scene.attempts(), ['normal crashed', 'continue succeeded']);
      assert.deepEqual(await scene.outcome(), undisturbed);
    });
  }
});

test('a part of the plan that is stored again while its COMMIT is still under way stands there once', async (t) => {
  const scene = await CrashScene.start(t);
  assert.equal((await scene.night.nightfill('migrate')).exitCode, 0);
  // Such as one that waits for a standby.
  await scene.query(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF new.key = 'c12' THEN PERFORM pg_advisory_xact_lock_shared(12); END IF; RETURN NULL; END $$`);
  await scene.query(`CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON nightfill.contract
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`);
  const standby = new pg.Client({ connectionString: scene.proxy.url });
  standby.on('error', () => {});
  await standby.connect();
  t.after(async () => standby.end());
  await standby.query('SELECT pg_advisory_lock(12)');
  scene.proxy.cutWhen({ direction: 'toServer', matches: commitOf('INSERT INTO nightfill.contract ', 3), pass: true });
  const run = scene.night.nightfill(...scene.command('run'));
  const again = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    AND wait_event <> 'advisory' AND query LIKE '%nightfill.chunk %'`;
  await until(async () => (await scene.query(again)).length > 0, run);
  await standby.query('SELECT pg_advisory_unlock(12)');
  const ended = await run;
  assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
  assert.deepEqual(await scene.outcome(), undisturbed);
});

describe('a run killed again and again, at any message to or from Postgres', { concurrency: 3 }, () => {
  for (const seed of Array.from({ length: repeats(1, 20) }, (_, index) => index + 1)) {
    test(`seed ${seed}`, async (t) => {
      const scene = await CrashScene.start(t);
      const kill = fc.record({
        piece: fc.noBias(fc.integer({ min: 1, max: 150 })),
        pass: fc.boolean(),
        direction: fc.constantFrom('toServer', 'toClient'),
      });
      for (const { piece, ...trap } of fc.sample(kill, { seed, numRuns: 6 })) {
        let seen = 0;
        const committed = await scene.committedKeys();
        scene.server.requests.length = 0;
        const moment = scene.proxy.arrestWhen({ ...trap, matches: () => (seen += 1) === piece });
        const running = scene.night.startProcess(...scene.command('run'));
        await Promise.race([moment, running.ended]);
        if (running.process.exitCode === null) await scene.kill(running);
        scene.assertNotAsked(committed);
      }
      // What the last trap still waits for must not disturb the run that is let alone.
      void scene.proxy.arrestWhen({ direction: 'toServer', matches: () => false, pass: true });
      await scene.finish();
      assert.deepEqual(await scene.outcome(), undisturbed);
    });
  }
});

test('the embedded PostgreSQL killed together with the run: the same command recovers it, and finishes', async (t) => {
  const keys = Array.from({ length: 40 }, (_, index) => `c${index}`);
  const ordinary = listAndLookUp(keys.map((id) => ({ id })));
  let hang = true;
  const hanging = Promise.withResolvers<void>();
  const server = await ScriptedServer.start((request) => {
    if (!(hang && request.url.endsWith('/c30'))) return ordinary(request);
    hanging.resolve();
    return undefined;
  });
  t.after(async () => server[Symbol.asyncDispose]());
  const night = await startNight(t, { databaseUrl: null, environment: { CRM_TOKEN: scriptedToken } });
  const api = { limits: { concurrency: 4 }, timeout: '90s' };
  await night.write('job.yaml', scriptedJob(server.origin, { api, chunk: { size: 5 } }));
  const running = night.startProcess('run', 'job.yaml');
  await Promise.race([hanging.promise, running.ended]);
  const postmaster = await readFile(path.join(night.folder, '.nightfill/postgres/data/postmaster.pid'), 'utf8');
  process.kill(Number.parseInt(postmaster, 10), 'SIGKILL');
  running.process.kill('SIGKILL');
  assert.equal((await running.ended).signal, 'SIGKILL');

  hang = false;
  server.requests.length = 0;
  const again = await night.nightfill('run', 'job.yaml');
  assert.equal(again.exitCode, 0, again.stderr);
  const { counts, attempts } = await night.report();
  assert.deepEqual([counts.listed, counts.enriched, counts.inserted], [40, 40, 40]);
  assert.deepEqual(
    attempts.map(({ mode, status }) => `${mode} ${status}`),
    ['normal crashed', 'continue succeeded'],
  );
  const lookups = server.log.filter((line) => line.includes('/contracts/'));
  assert.deepEqual([lookups.length, new Set(lookups).size], [40 - attempts[0]!.loaded, 40 - attempts[0]!.loaded]);
  const third = await night.nightfill('run', 'job.yaml');
  assert.match(third.stdout, /is complete for/);
});
