import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { until, type Ended, type Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

const monday = '2026-01-05';
const tuesday = '2026-01-06';

/** Ten contracts of one price; those in `gone` are not found. Commands run in this process. */
async function week(t: TestContext, job: { commit: 'run' | 'chunk' }) {
  const source = { price: '100.00', gone: new Set<string>(), gate: Promise.resolve() };
  const { night, server } = await scriptedNight(t, {
    async script(request) {
      await source.gate;
      return listAndLookUp(
        Array.from({ length: 10 }, (_, index) => ({ id: `c${index}`, amount: source.price, currency: 'EUR' })),
        (id) => (source.gone.has(id) ? undefined : { id, amount: source.price }),
      )(request);
    },
    job: { ...job, chunk: { size: 5 }, failures: { stopAbove: '100%' } },
  });
  const report = ['--report', 'report.json'];
  const run = async (date: string, ...words: string[]): Promise<Omit<Ended, 'signal'>> =>
    night.nightfill('run', 'job.yaml', '--date', date, ...report, ...words);
  const rerun = async (...words: string[]): Promise<Omit<Ended, 'signal'>> =>
    night.nightfill('rerun', ...words, ...report);
  return { night, server, source, run, rerun };
}

const target = async (night: Night): Promise<string[]> =>
  (
    await night.query<{ line: string }>(
      `SELECT amount || ' × ' || count(*) AS line FROM contracts GROUP BY amount ORDER BY amount`,
    )
  ).map(({ line }) => line);

const latestRun = async (night: Night, date: string): Promise<string> =>
  (
    await night.query<{ id: string }>(
      `SELECT run.id FROM nightfill.run JOIN nightfill.instance ON instance.id = instance
       WHERE business_date = $1 ORDER BY started_at DESC LIMIT 1`,
      [date],
    )
  )[0]!.id;

describe('older answers are not loaded over newer rows', { concurrency: 2 }, () => {
  for (const commit of ['run', 'chunk'] as const)
    test(`with commit: ${commit}, neither by rerun nor by run, unless --over-newer says so`, async (t) => {
      const { night, source, run, rerun } = await week(t, { commit });
      source.gone.add('c7');
      assert.equal((await run(monday)).exitCode, 3);
      const old = await latestRun(night, monday);
      source.gone.clear();
      source.price = '999.00';
      assert.equal((await run(tuesday)).exitCode, 0);
      const newer = await latestRun(night, tuesday);
      source.price = '100.00';

      for (const refused of [
        await rerun(old),
        await run(monday),
        await run('2026-01-04'),
        await run(monday, '--again'),
      ]) {
        assert.equal(refused.exitCode, 2, refused.stdout + refused.stderr);
        assert.match(refused.stderr, /contracts holds rows that scripted loaded for 2026-01-06 .* --over-newer$/m);
        assert(refused.stderr.includes(`(run ${newer})`));
      }
      assert.deepEqual(await target(night), ['999.00 × 10']);
      assert.equal((await night.query('SELECT FROM nightfill.instance')).length, 2);

      const forced = await rerun(old, '--over-newer');
      assert.equal(forced.exitCode, 0, forced.stdout + forced.stderr);
      assert(
        forced.stdout.includes(`loaded over the rows of 2026-01-06 (run ${newer}), by --over-newer`),
        forced.stdout,
      );
      assert.deepEqual((await night.report('report.json')).run.overNewer, { businessDate: tuesday, runId: newer });
      assert.deepEqual(await target(night), commit === 'run' ? ['100.00 × 10'] : ['100.00 × 1', '999.00 × 9']);
    });

  test('what loads nothing is not refused, and a newer date that loaded nothing stands in nobody’s way', async (t) => {
    const { night, source, run, rerun } = await week(t, { commit: 'chunk' });
    assert.equal((await run(monday)).exitCode, 0);
    const old = await latestRun(night, monday);
    for (let index = 0; index < 10; index += 1) source.gone.add(`c${index}`);
    assert.equal((await run(tuesday)).exitCode, 3);
    source.gone.clear();
    assert.equal((await run(monday, '--again')).exitCode, 0);
    assert.equal((await night.report('report.json')).run.overNewer, null);

    const complete = await run(monday);
    assert.deepEqual([complete.exitCode, complete.stdout.includes('nothing to do')], [0, true], complete.stderr);
    assert.equal((await run('2026-01-04', '--dry-run')).exitCode, 0);
    assert.equal((await run('2026-01-04', '--limit', '2')).exitCode, 2);
    const replaced = await rerun(old, '--whole-chunks');
    assert.equal(replaced.exitCode, 2, replaced.stdout);

    assert.equal((await run('2026-01-07', '--limit', '2')).exitCode, 0);
    const sampled = await rerun(await latestRun(night, monday), '--whole-chunks');
    assert.match(sampled.stderr, /loaded for 2026-01-07 /, 'a sample is loaded too');
    // Its run died before it could close the night: that is made up for, and loads nothing.
    await night.query(
      `UPDATE nightfill.instance SET status = 'planned' WHERE status = 'complete' AND business_date = $1`,
      [monday],
    );
    assert.equal((await run(monday)).exitCode, 0);
  });

  test('nor once prune has forgotten old plans: the latest that loaded rows stays, be it a sample', async (t) => {
    const { night, source, run } = await week(t, { commit: 'chunk' });
    assert.equal((await run('2020-01-06')).exitCode, 0);
    source.price = '999.00';
    assert.equal((await run('2020-01-07', '--limit', '4')).exitCode, 0);
    assert.equal((await run('2020-01-08', '--limit', '4')).exitCode, 0);
    for (let index = 0; index < 10; index += 1) source.gone.add(`c${index}`);
    assert.equal((await run('2020-01-09', '--limit', '4')).exitCode, 3);
    const pruned = await night.nightfill('prune', '--keep', '400d');
    assert.equal(
      pruned.stdout,
      'forgot 2 plans of 2 business dates with 2 runs; 2 as old stay, because a run or a comparison may still need them\n',
    );
    source.gone.clear();
    source.price = '100.00';
    const older = await run('2020-01-06', '--again');
    assert.equal(older.exitCode, 2, older.stdout);
    assert.match(older.stderr, /contracts holds rows that scripted loaded for 2020-01-08 /);
    assert.deepEqual(await target(night), ['100.00 × 6', '999.00 × 4']);
  });

  test('nor by a run that had to wait for the newer one', async (t) => {
    const { night, server, source, run } = await week(t, { commit: 'chunk' });
    const gate = Promise.withResolvers<void>();
    t.after(() => gate.resolve());
    source.gate = gate.promise;
    const newer = run(tuesday);
    await until(() => server.requests.length > 0, newer);
    const older = run(monday, '--if-running', 'wait');
    await until(
      async () =>
        (
          await night.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%nightfill.lease WHERE job%'`,
          )
        ).length > 0,
      older,
    );
    gate.resolve();
    assert.equal((await newer).exitCode, 0);
    assert.equal((await older).exitCode, 2);
    assert.deepEqual(await target(night), ['100.00 × 10']);
  });
});
