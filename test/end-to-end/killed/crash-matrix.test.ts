import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { chunkSize, commitOf, copiedRows, CrashScene, sent } from '../../support/crash-scene.ts';
import { until } from '../../support/night.ts';
import type { Trap } from '../../support/tcp-proxy.ts';

/** What the next run does: begins, since nothing began; continues; has only the closing to do; finds all complete. */
type Next = 'begins' | 'continues' | 'closes' | 'is complete';

interface Point {
  /** As docs/reference/crash-safety.md names it. */
  name: string;
  moment: (scene: CrashScene) => Promise<unknown>;
  next: Next;
  /** Contracts that are committed at least, and at most. */
  committed?: [number, number];
  /** Rows that readers of the target see at that moment, where that is known. */
  visible?: number;
  job?: object;
}

const withheld =
  (matches: () => Trap['matches']) =>
  async ({ proxy }: CrashScene) =>
    proxy.arrestWhen({ direction: 'toServer', matches: matches(), pass: false });

const unanswered =
  (matches: () => Trap['matches']) =>
  async ({ proxy }: CrashScene) =>
    proxy.arrestWhen({ direction: 'toServer', matches: matches(), pass: true });

const chunk = 'INSERT INTO nightfill.chunk_attempt';
const report = 'INSERT INTO nightfill.report';
// With the zero byte that ends a statement: others delete some of the rows.
const switched = 'DELETE FROM nightfill.staged WHERE instance = $1\0';
const planned = `UPDATE nightfill.instance SET status = 'planned', source_total`;
const all: [number, number] = [40, 40];

const points: Point[] = [
  { name: 'while migrating', moment: unanswered(() => sent('CREATE TABLE nightfill.instance')), next: 'begins' },
  {
    name: 'while migrating, before COMMIT',
    moment: withheld(() => commitOf('INSERT INTO nightfill.migration')),
    next: 'begins',
  },
  {
    name: 'while migrating, after COMMIT before its acknowledgement',
    moment: unanswered(() => commitOf('INSERT INTO nightfill.migration')),
    next: 'begins',
  },
  { name: 'before the lease is taken', moment: withheld(() => sent('INSERT INTO nightfill.lease')), next: 'begins' },
  {
    name: 'after the lease is taken before its acknowledgement',
    moment: unanswered(() => sent('INSERT INTO nightfill.lease')),
    next: 'begins',
  },
  { name: 'before the run is recorded', moment: withheld(() => sent('INSERT INTO nightfill.run ')), next: 'begins' },
  {
    name: 'while listing, between pages',
    moment: async (scene) => scene.hangAt((url) => url.includes('after=20')),
    next: 'continues',
    committed: [0, 20],
  },
  {
    name: 'while listing, storing a part of the plan',
    moment: unanswered(() => sent('INSERT INTO nightfill.contract ', 3)),
    next: 'continues',
  },
  { name: 'before the plan is closed', moment: withheld(() => sent(planned)), next: 'continues' },
  {
    name: 'after the plan is closed before its acknowledgement',
    moment: unanswered(() => commitOf(planned)),
    next: 'continues',
  },
  {
    name: 'mid-fetch',
    async moment(scene) {
      await scene.hangAt((url) => url.endsWith('/c22'));
      await until(async () => (await scene.committedKeys()).length >= 2 * chunkSize, new Promise(() => {}));
    },
    next: 'continues',
    committed: [10, 39],
  },
  { name: 'before COPY', moment: withheld(() => sent('COPY pg_temp', 3)), next: 'continues', committed: [0, 35] },
  { name: 'mid-COPY', moment: unanswered(() => copiedRows(3)), next: 'continues', committed: [0, 35] },
  { name: 'before COMMIT', moment: withheld(() => commitOf(chunk, 3)), next: 'continues', committed: [0, 35] },
  {
    name: 'after COMMIT before its acknowledgement',
    moment: unanswered(() => commitOf(chunk, 3)),
    next: 'continues',
    committed: [5, 40],
  },
  {
    name: 'during the second chance',
    async moment(scene) {
      scene.answer('c07', 503, 503);
      let asked = 0;
      return scene.hangAt((url) => url.endsWith('/c07') && (asked += 1) === 3);
    },
    next: 'continues',
    committed: [39, 39],
  },
  {
    name: 'before COMMIT of the switch (`commit: run`)',
    job: { commit: 'run' },
    moment: withheld(() => commitOf(switched)),
    next: 'closes',
    visible: 0,
  },
  {
    name: 'after COMMIT of the switch before its acknowledgement (`commit: run`)',
    job: { commit: 'run' },
    moment: unanswered(() => commitOf(switched)),
    next: 'closes',
    visible: 40,
  },
  {
    name: 'while reporting, the figures being stored',
    moment: unanswered(() => sent('UPDATE nightfill.run SET figures')),
    next: 'closes',
    committed: all,
  },
  {
    name: 'while reporting, the run being closed',
    moment: unanswered(() => sent('coalesce(completed_at')),
    next: 'closes',
  },
  { name: 'while reporting, the report being stored', moment: unanswered(() => sent(report)), next: 'closes' },
  { name: 'while reporting, before COMMIT', moment: withheld(() => commitOf(report)), next: 'closes', committed: all },
  {
    name: 'while reporting, after COMMIT before its acknowledgement',
    moment: unanswered(() => commitOf(report)),
    next: 'is complete',
  },
  {
    name: 'before the lease is given back',
    moment: withheld(() => sent('DELETE FROM nightfill.lease')),
    next: 'is complete',
  },
];

const whileWriting = 'while the report file is being written';

const attempts: Record<Next, string[]> = {
  begins: ['normal succeeded'],
  continues: ['normal crashed', 'continue succeeded'],
  closes: ['normal crashed', 'continue succeeded'],
  'is complete': ['normal succeeded'],
};

/** The same command twice more: the first finishes the night, the second finds it complete. */
async function assertFinished(scene: CrashScene, next: Next): Promise<void> {
  const finished = await scene.finish();
  assert.match(finished.stdout, next === 'is complete' ? /is complete for/ : /: succeeded/);
  assert.deepEqual(await scene.attempts(), attempts[next]);
  assert.deepEqual(await scene.outcome(), undisturbed);

  const text = await scene.night.read('report.json');
  scene.server.requests.length = 0;
  const third = await scene.night.nightfill(...scene.command('run'));
  assert.equal(third.exitCode, 0, third.stderr);
  assert.match(third.stdout, /is complete for/);
  scene.assertAsked([], { listing: false });
  assert.equal(await scene.night.read('report.json'), text);
}

// Made while the file is loaded: inside a test `after` would mean the end of that test.
const undisturbed = await (async () => {
  const scene = await CrashScene.start({ after });
  await scene.finish();
  return scene.outcome();
})();

describe('SIGKILL of a run, and the same command again', { concurrency: 3 }, () => {
  for (const { name, moment, next, committed, visible, job = {} } of points) {
    test(`${name}: the next one ${next}`, async (t) => {
      const scene = await CrashScene.start(t, { job });
      await scene.killAt(moment(scene));
      const [least, most] = committed ?? [0, 40];
      const found = (await scene.committedKeys()).length;
      assert(found >= least && found <= most, `${found} contracts committed, not ${least} to ${most}`);
      if (next === 'closes' || next === 'is complete') assert.equal(found, 40);
      if (visible !== undefined) assert.equal((await scene.query('SELECT FROM contracts')).length, visible);
      await assertFinished(scene, next);
    });
  }

  test(`${whileWriting}: the next one is complete, and writes it`, async (t) => {
    const scene = await CrashScene.start(t);
    const running = scene.night.startProcess(...scene.command('run'));
    // Who opens a pipe for writing waits for its reader, so the run stands still there.
    execFileSync('mkfifo', [path.join(scene.night.folder, `report.json.${running.processId}.tmp`)]);
    const stored = async (): Promise<boolean> =>
      (await scene.query('SELECT FROM nightfill.report').catch(() => [])).length === 1 &&
      (await scene.query('SELECT FROM nightfill.lease')).length === 0;
    await until(stored, running.ended);
    await scene.kill(running);
    await assert.rejects(scene.night.read('report.json'), { code: 'ENOENT' });
    await assertFinished(scene, 'is complete');
  });
});

test('the page on crash safety names every point, and no other', async () => {
  const page = await readFile(new URL('../../../docs/reference/crash-safety.md', import.meta.url), 'utf8');
  const named = page.matchAll(/^\| ((?:while|before|after|mid|during).*?) \|/gm);
  assert.deepEqual(
    [...named].map(([, name]) => name),
    [...points.map(({ name }) => name), whileWriting],
  );
});
