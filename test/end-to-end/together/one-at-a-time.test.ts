import { randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { until, type Night } from '../../support/night.ts';
import { scriptedJob, scriptedNight } from '../../support/scripted-job.ts';
import { simulatedNight } from '../../support/simulated-job.ts';

const isLinux = process.platform === 'linux';

const contracts = 60;
/** Slow enough to be met at work. */
const slow = {
  simulator: { contracts, latency: 40 },
  job: { api: { limits: { concurrency: 2 } }, chunk: { size: 10 } },
};

const committedChunks = async (night: Night): Promise<number> =>
  (await night.query(`SELECT FROM nightfill.chunk WHERE status <> 'not-started'`).catch(() => [])).length;

/** All that a run may leave behind, with the place of each row: a row written again has another. */
async function everything(night: Night, target: string): Promise<object> {
  const tables = [
    'instance',
    'run',
    'contract',
    'chunk',
    'chunk_attempt',
    'chunk_amount',
    'failure',
    'report',
    'lease',
  ];
  const entries = await Promise.all(
    [target, ...tables.map((table) => `nightfill.${table}`)].map(
      async (table) => [table, await night.query(`SELECT ctid::text, xmin::text, * FROM ${table} ORDER BY 1`)] as const,
    ),
  );
  return Object.fromEntries(entries);
}

/** A scripted night of `count` contracts whose requests from `held` on wait until they are let go. */
async function heldNight(t: Parameters<typeof scriptedNight>[0], { count, held }: { count: number; held: RegExp }) {
  const gate = Promise.withResolvers<void>();
  t.after(() => gate.resolve());
  const keys = Array.from({ length: count }, (_, index) => `c${index}`);
  const made = await scriptedNight(t, {
    async script({ url }) {
      if (held.test(url)) await gate.promise;
      const key = /^\/contracts\/(.+)/.exec(url)?.[1];
      return { json: key ? { id: key } : { data: keys.map((id) => ({ id })) } };
    },
    job: { api: { timeout: '90s' } },
  });
  const asked = (): number => made.server.requests.filter(({ url }) => held.test(url)).length;
  return { ...made, keys, asked, letGo: gate.resolve };
}

describe('one run of a job at a time', { concurrency: 2 }, () => {
  test('of five at one instant one works, and the others do as they were told', async (t) => {
    const { server, night, keys, letGo } = await heldNight(t, { count: 20, held: /\/contracts\/c/ });
    const tell = ['fail', 'fail', 'fail', 'skip', 'wait'];
    const runs = tell.map((what, index) => {
      const running = night.startProcess('run', 'job.yaml', '--if-running', what, '--report', `${index}.json`);
      return { what, running, ended: false };
    });
    for (const run of runs) void run.running.ended.then(() => (run.ended = true));
    let holder: { run: string; pid: number; host: string } | undefined;
    await until(
      async () => {
        const rows = await night
          .query<NonNullable<typeof holder>>(
            `SELECT run, process_id AS pid, split_part(host, ' ', 1) AS host FROM nightfill.lease`,
          )
          .catch(() => []);
        holder = rows[0];
        return runs.every(({ what, running, ended }) => ended || what === 'wait' || running.processId === holder?.pid);
      },
      Promise.all(runs.map(async ({ running }) => running.ended)),
    );
    letGo();
    const ends = await Promise.all(runs.map(async ({ running }) => running.ended));
    for (const [index, { exitCode, stdout, stderr }] of ends.entries()) {
      const { what, running } = runs[index]!;
      if (running.processId === holder!.pid) assert.equal(exitCode, 0, stderr);
      else if (what === 'wait') {
        assert.deepEqual([exitCode, stderr.includes('at work')], [0, false], stderr);
        assert.match(stdout, /scripted is complete for .*; nothing to do/);
      } else {
        assert.equal(exitCode, what === 'skip' ? 0 : 5, stderr);
        const name = `another run of scripted is at work (run ${holder!.run}, process ${holder!.pid} on ${holder!.host})`;
        assert(stderr.includes(what === 'skip' ? `${name}; skipped` : name), stderr);
      }
    }
    assert.equal(server.requests.length, 1 + keys.length, 'each contract is asked for once');
    assert.equal((await night.query('SELECT FROM contracts')).length, keys.length);
    assert.equal((await night.query('SELECT FROM nightfill.run')).length, 1);
  });

  test('different jobs do not hinder each other', async (t) => {
    const { server, night, asked, letGo } = await heldNight(t, { count: 1, held: /\/contracts\/c/ });
    const other = { ...scriptedJob(server.origin, { api: { timeout: '90s' } }), name: 'other' };
    await night.write('other.yaml', { ...other, load: { ...(other as { load?: object }).load, table: 'others' } });
    const runs = ['job.yaml', 'other.yaml'].map(async (file) =>
      night.nightfill('run', file, '--report', `${file}.json`),
    );
    // Both have begun before either may end.
    await until(() => asked() === 2, Promise.race(runs));
    letGo();
    for (const { exitCode, stderr } of await Promise.all(runs)) assert.equal(exitCode, 0, stderr);
  });

  test("another machine's run is believed until its lease has run out", async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 5 } });
    await night.nightfill('migrate');
    const run = randomUUID();
    await night.query(
      `INSERT INTO nightfill.lease VALUES ('simulated', $1, $2, 'elsewhere 1 2', 1, '1', now(), now() + interval '1 hour')`,
      [randomUUID(), run],
    );
    const refused = await night.nightfill('run', 'job.yaml');
    assert.equal(refused.exitCode, 5, refused.stderr);
    assert(refused.stderr.includes(`(run ${run}, process 1 on elsewhere)`), refused.stderr);
    await night.query(`UPDATE nightfill.lease SET expires_at = now()`);
    const taken = await night.nightfill('run', 'job.yaml');
    assert.equal(taken.exitCode, 0, taken.stderr);
  });

  test('a killed run that its parent has not collected is dead at once', { skip: !isLinux }, async (t) => {
    const { night } = await simulatedNight(t, slow);
    const shell = spawn(
      'sh',
      ['-c', '"$0" "$@" & exec sleep 1000', process.execPath, night.program, 'run', 'job.yaml'],
      { cwd: night.folder, env: night.environment, stdio: 'ignore' },
    );
    t.after(() => shell.kill('SIGKILL'));
    await until(async () => (await committedChunks(night)) > 0, new Promise(() => {}));
    const [holder] = await night.query<{ pid: number }>('SELECT process_id AS pid FROM nightfill.lease');
    const { pid } = holder!;
    process.kill(pid, 'SIGKILL');
    await until(() => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')), new Promise(() => {}));
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.equal((await night.query('SELECT FROM enriched')).length, contracts);
  });
});

test('while a run closes, its heartbeat does not wait for it', async (t) => {
  const { night, asked, letGo } = await heldNight(t, { count: 2, held: /\/contracts\/c1$/ });
  const running = night.start('run', 'job.yaml');
  await until(() => asked() === 1, running.ended);
  await night.whileLocked('LOCK TABLE nightfill.report', async () => {
    letGo();
    const closing = `SELECT FROM pg_locks WHERE relation = 'nightfill.report'::regclass AND NOT granted`;
    await until(async () => (await night.query(closing)).length > 0, running.ended);
    await night.query('SELECT FROM nightfill.lease FOR UPDATE NOWAIT');
  });
  const { exitCode, stderr } = await running.ended;
  assert.equal(exitCode, 0, stderr);
});

describe('a run that lost its lease commits nothing more', { concurrency: 2 }, () => {
  for (const [what, date] of [
    ['of the same date', []],
    ['of a later date', ['--date', '2999-01-31', '--report', 'reports/other.json']],
  ] as const)
    test(`paused amid its chunks while a run ${what} takes the job over`, async (t) => {
      const { night } = await simulatedNight(t, slow);
      const late = night.startProcess('run', 'job.yaml');
      // Paused while it plans, it would keep the lease's row locked, and the UPDATE below would wait for it.
      const planned = async (): Promise<boolean> =>
        (await night.query(`SELECT FROM nightfill.instance WHERE status = 'planned'`)).length === 1;
      await until(async () => (await committedChunks(night)) > 0 && (await planned()), late.ended);
      late.process.kill('SIGSTOP');
      await night.query(`UPDATE nightfill.lease SET expires_at = now()`);
      const taker = await night.nightfill('run', 'job.yaml', ...date);
      assert.equal(taker.exitCode, 0, taker.stderr);
      const before = await everything(night, 'enriched');
      late.process.kill('SIGCONT');
      const { exitCode, stderr } = await late.ended;
      assert.equal(exitCode, 1, stderr);
      assert.match(
        stderr,
        /^nightfill: this run lost the lease of simulated because another run has taken over; this one commits nothing more$/m,
      );
      assert.deepEqual(await everything(night, 'enriched'), before);
    });

  for (const [what, held, tables, state] of [
    [
      'planning',
      /\/contracts$/,
      ['nightfill.contract', 'nightfill.chunk', 'nightfill.report', 'contracts'],
      'planning',
    ],
    ['closing', /\/contracts\/c1$/, ['nightfill.report'], 'planned'],
  ] as const)
    test(`taken over as it is ${what}`, async (t) => {
      const { night, asked, letGo } = await heldNight(t, { count: 2, held });
      const late = night.start('run', 'job.yaml');
      await until(
        async () =>
          asked() === 1 &&
          (await night.query<{ status: string }>('SELECT status FROM nightfill.instance'))[0]?.status === state,
        late.ended,
      );
      await night.whileLocked('SELECT FROM nightfill.lease FOR UPDATE', async (client) => {
        letGo();
        // It asks whether it still holds the lease, and is answered when it does no more.
        await until(async () => {
          const waiting = await night.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%nightfill.lease%FOR SHARE%'`,
          );
          return waiting.length > 0;
        }, late.ended);
        await client.query(`UPDATE nightfill.lease SET token = gen_random_uuid(), host = 'elsewhere'`);
      });
      const { exitCode, stderr } = await late.ended;
      assert.equal(exitCode, 1, stderr);
      assert.match(stderr, /lost the lease of scripted because another run has taken over/);
      for (const table of tables) assert.deepEqual(await night.query(`SELECT FROM ${table}`), [], table);
      const [instance] = await night.query('SELECT status FROM nightfill.instance');
      assert.deepEqual(instance, { status: state });
      assert.equal((await night.query(`SELECT FROM nightfill.lease WHERE host = 'elsewhere'`)).length, 1);
    });
});
