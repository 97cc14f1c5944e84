import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { HistoryEntry } from '../../../src/ledger/history/entry.ts';
import type { Report } from '../../../src/report/schema.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

const dryRun = 'DRY RUN    the rows were rolled back, the target is unchanged';

async function threeContracts(t: TestContext) {
  const missing = new Set<string>();
  const records = ['a', 'b', 'c'].map((id) => ({ id }));
  const { night } = await scriptedNight(t, {
    script: listAndLookUp(records, (id) => (missing.has(id) ? undefined : { id })),
    job: { failures: { stopAbove: '100%' } },
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const report = ['--report', 'report.json'];
  const run = async (...words: string[]) =>
    night.nightfill('run', 'job.yaml', '--date', '2026-01-05', ...report, ...words);
  const purpose = async (): Promise<string> => (await night.report('report.json')).run.purpose;
  return { night, missing, run, purpose };
}

describe('what is not the night', { concurrency: true }, () => {
  test('says so on top of its summary and in its report', async (t) => {
    const { night, run, purpose } = await threeContracts(t);
    const rehearsed = await run('--dry-run', '--limit', '2');
    assert.equal(rehearsed.exitCode, 0, rehearsed.stderr);
    assert.equal(
      rehearsed.stdout.split('\n').slice(0, 2).join('\n'),
      `scripted 2026-01-05 dry run: succeeded\n  ${dryRun}`,
    );
    assert.equal(await purpose(), 'dry-run');
    assert.equal((await night.query(`SELECT FROM pg_class WHERE relname = 'contracts'`)).length, 0);
    const sampled = await run('--limit', '2');
    assert.match(
      sampled.stdout,
      /^scripted 2026-01-05 sample: succeeded\n {2}SAMPLE {5}of 2 contracts: not the night\n/,
    );
    assert.equal(await purpose(), 'sample');
    const real = await run();
    assert.match(real.stdout, /^scripted 2026-01-05: succeeded\n {2}contracts /);
    assert.equal(await purpose(), 'night');
  });

  test('is told from nights by runs, and latest is a night where there is any', async (t) => {
    const { night, missing, run } = await threeContracts(t);
    const latest = async (command: 'show' | 'report'): Promise<HistoryEntry & Report> =>
      JSON.parse(
        (await night.nightfill(command, 'latest', ...(command === 'show' ? ['--json'] : []))).stdout,
      ) as HistoryEntry & Report;
    await run('--limit', '1');
    assert.equal((await latest('show')).purpose, 'sample', 'there is nothing else');
    assert.equal((await latest('report')).run.purpose, 'sample');
    await run();
    missing.add('a');
    const sampled = await run('--limit', '1');
    assert.equal(sampled.exitCode, 3);
    assert.deepEqual(
      [(await latest('show')).purpose, (await latest('report')).run.purpose, (await latest('report')).counts.listed],
      ['night', 'night', 3],
    );
    const { stdout } = await night.nightfill('runs');
    const modes = [...stdout.matchAll(/ 2026-01-05 +(\w+) /g)].map(([, mode]) => mode);
    assert.deepEqual(modes, ['sample', 'normal', 'sample']);
    const entries = JSON.parse((await night.nightfill('runs', '--json')).stdout) as HistoryEntry[];
    assert.deepEqual(
      entries.map(({ purpose, mode }) => `${purpose} ${mode}`),
      ['sample normal', 'night normal', 'sample normal'],
    );
    missing.clear();
    const advised = `nightfill rerun ${entries[0]!.id}`;
    assert(sampled.stdout.includes(`  ${advised} fetches again `), sampled.stdout);
    const rerun = await night.nightfill(...advised.split(' ').slice(1), '--report', 'report.json');
    assert.match(rerun.stdout, /^scripted 2026-01-05 sample: succeeded\n/);
    assert.match((await night.nightfill('runs')).stdout, / 2026-01-05 +sample rerun /);
  });
});
