import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startCluster } from '../../support/cluster.ts';
import { execute } from '../../support/database.ts';
import { commitOf, CrashScene } from '../../support/crash-scene.ts';

/*
 * The answer to a COMMIT is lost while the server is still committing: it waits for a synchronous standby that does not
 * exist. Whoever looks for what became of it must wait for its end, because before that nothing of it is to be seen.
 */

// A cluster of its own: every COMMIT of it waits for the standby.
const cluster = await startCluster();
after(async () => cluster[Symbol.asyncDispose]());

const places = {
  'the beginning of a plan': { commit: 'chunk', within: 'INSERT INTO nightfill.instance ' },
  'the start of a run': { commit: 'chunk', within: 'INSERT INTO nightfill.run ' },
  'a chunk': { commit: 'chunk', within: 'INSERT INTO nightfill.chunk_attempt' },
  'a page of the plan': { commit: 'chunk', within: 'INSERT INTO nightfill.contract ' },
  'the switch of a night': { commit: 'run', within: 'json_agg(DISTINCT attempt' },
};

for (const [what, { commit, within }] of Object.entries(places)) {
  test(`${what} that is still being committed when the client is back counts once`, async (t) => {
    const scene = await CrashScene.start(t, { job: { commit }, cluster: cluster.url });
    const standby = async (name: string): Promise<void> =>
      execute(cluster.url, `ALTER SYSTEM SET synchronous_standby_names = '${name}'`, 'SELECT pg_reload_conf()');
    t.after(async () => standby(''));

    const arrested = scene.proxy.arrestWhen({ direction: 'toServer', matches: commitOf(within), pass: false });
    const running = scene.night.nightfill(...scene.command('run'));
    const arrest = await arrested;
    await standby('nobody');
    await delay(50);
    arrest.deliver();
    await waitingForStandby(scene);
    scene.proxy.cut();
    // The client has come back, and stands before the lock of the transaction that is still being committed.
    await waitingForLock(scene);
    await standby('');
    const ended = await running;
    assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
    const { rows, counts, amounts } = await scene.outcome();
    assert.deepEqual([rows.length, counts.listed, counts.enriched, counts.inserted], [40, 40, 40, 40]);
    for (const { listed, loaded, variance } of amounts) assert.deepEqual([loaded, Number(variance)], [listed, 0]);
  });
}

async function waitingForStandby(scene: CrashScene): Promise<void> {
  await seen(scene, `wait_event = 'SyncRep'`);
}

async function waitingForLock(scene: CrashScene): Promise<void> {
  await seen(scene, `wait_event_type = 'Lock'`);
}

async function seen(scene: CrashScene, what: string): Promise<void> {
  for (let asked = 0; asked < 500; asked++) {
    const found = await scene.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${what}`,
    );
    if (found.length > 0) return;
    await delay(10);
  }
  assert.fail(`no session of this database was ever seen with ${what}`);
}
