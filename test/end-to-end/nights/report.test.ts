import { createHash } from 'node:crypto';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import canonicalize from 'canonicalize';
import type { Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import { simulatedNight } from '../../support/simulated-job.ts';
import type { Report } from '../../../src/report/schema.ts';

/** Every figure that can be recomputed is, from the target and by adding up. */
async function assertTiesOut(
  night: Night,
  { counts, amounts, controls, chunks, failures, apis, integrity, ...rest }: Report,
): Promise<void> {
  const stored = await night.query<{ currency: string; amount: string; rows: number }>(
    'SELECT currency, sum(annual_value)::text AS amount, count(*)::integer AS rows FROM enriched GROUP BY currency ORDER BY currency COLLATE "C"',
  );
  assert.deepEqual(
    amounts.filter(({ loaded }) => Number(loaded) !== 0).map(({ currency, loaded }) => ({ currency, amount: loaded })),
    stored.map(({ currency, amount }) => ({ currency, amount })),
  );
  const rows = stored.reduce((sum, { rows: some }) => sum + some, 0);
  assert.equal(counts.enriched + counts.degraded, rows);
  assert.equal(counts.inserted + counts.updated + counts.unchanged, rows);
  assert.equal(counts.enriched + counts.degraded + counts.failed + counts.notStarted, counts.listed);
  for (const { listed, loaded, failed, notStarted, variance } of amounts) {
    assert.equal(cents(listed), cents(loaded) + cents(failed) + cents(notStarted) + cents(variance));
  }
  for (const { type, currency, expected, actual, delta, result } of controls) {
    assert.equal(result, type === 'listed' && rest.previous === null ? 'not-evaluated' : 'pass');
    if (result === 'pass') assert.equal(cents(delta), cents(actual) - cents(expected));
    if (type === 'sum') assert.equal(actual, stored.find((sum) => sum.currency === currency)?.amount);
  }
  // As it was loaded, and as the night was closed.
  assert.equal(controls.filter(({ type }) => type === 'sum').length, 2 * stored.length);
  const sum = (of: (chunk: Report['chunks'][number]) => number): number =>
    chunks.reduce((total, chunk) => total + of(chunk), 0);
  assert.equal(
    sum((chunk) => chunk.contracts),
    counts.listed,
  );
  assert.equal(
    sum((chunk) => chunk.failed),
    counts.failed,
  );
  assert.equal(
    sum((chunk) => chunk.inserted + chunk.updated + chunk.unchanged),
    rows,
  );
  assert.equal(failures.length, counts.failed);
  const body = canonicalize({ counts, amounts, controls, chunks, failures, apis, ...rest });
  assert.equal(integrity.sha256, createHash('sha256').update(body!).digest('hex'));
}

/** Exact: digits, not floats. */
function cents(amount: string): bigint {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,2})0*)?$/.exec(amount)!;
  return BigInt(`${sign}${whole}${fraction.padEnd(2, '0')}`);
}

test('the amounts of a report tie out with its target, before and after a rerun', async (t) => {
  const { simulator, night } = await simulatedNight(t, {
    // The seed has amounts beyond 2^53 among them.
    simulator: { contracts: 600, customers: 40, seed: 3, faults: { missing: 0.05 } },
    job: { chunk: { size: 100 } },
  });
  assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2026-11-20')).exitCode, 3);
  const report = await night.report('reports/simulated-2026-11-20.json');
  assert(report.counts.failed > 0);
  assert.equal(report.counts.sourceTotal, 600);
  assert(
    report.amounts.some(({ loaded }) => cents(loaded) > 100n * 2n ** 53n),
    'no amount is beyond a float',
  );
  assert(report.amounts.every(({ failed }) => cents(failed) > 0n));
  await assertTiesOut(night, report);
  // What failed is known from the listing, digit by digit.
  const known = report.failures.reduce((total, { amount }) => total + cents(amount!), 0n);
  assert.equal(
    known,
    report.amounts.reduce((total, { failed }) => total + cents(failed), 0n),
  );

  await simulator.setFaults({});
  assert.equal((await night.nightfill('rerun', 'latest')).exitCode, 0);
  const merged = await night.report('reports/simulated-2026-11-20.json');
  await assertTiesOut(night, merged);
  assert.deepEqual(
    merged.amounts.map(({ currency, listed }) => ({ currency, listed })),
    report.amounts.map(({ currency, listed }) => ({ currency, listed })),
  );
  assert.equal(merged.run.rerunOf, report.run.id);
  assert.equal(merged.integrity.previousSha256, report.integrity.sha256);

  assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2026-11-21')).exitCode, 0);
  const next = await night.report('reports/simulated-2026-11-21.json');
  await assertTiesOut(night, next);
  assert.deepEqual([next.counts.unchanged, next.counts.missing], [600, 0]);
  assert.equal(next.previous?.businessDate, '2026-11-20');
  for (const { added, removed, changed, before, after } of next.previous?.changes ?? []) {
    assert.equal(cents(after), cents(before) + cents(added) - cents(removed) + cents(changed));
    assert.equal(after, before);
  }
});

test('a listing shorter than its own total, or less complete than asked, exits with 4, and what came is loaded', async (t) => {
  const { server, night } = await scriptedNight(t, {
    script: () => undefined,
    job: { contracts: { total: 'total' }, controls: [{ completeness: '90%' }] },
  });
  const records = ['a', 'b', 'c'].map((id) => ({ id }));
  const ordinary = listAndLookUp(records, (id) => (id === 'c' ? undefined : { id }));
  const answer = (total: number): void =>
    server.answerWith(({ url }) => (url === '/contracts' ? { json: { data: records, total } } : ordinary({ url })));

  answer(4);
  assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 4);
  const { controls, counts, run } = await night.report();
  assert.deepEqual(
    controls.map(({ type, expected, actual, delta, result }) => [type, expected, actual, delta, result]),
    [
      ['count', '4', '3', '-1', 'fail'],
      ['count', '0', '0', '0', 'pass'],
      ['keys', '2', '2', '0', 'pass'],
      ['keys', '2', '2', '0', 'pass'],
      ['keys', '2', '2', '0', 'pass'],
      ['completeness', '3', '2', '-1', 'fail'],
      ['listed', '0', '3', '0', 'not-evaluated'],
    ],
  );
  assert.deepEqual([run.status, counts.enriched, counts.failed], ['controls-failed', 2, 1]);
  assert.deepEqual(await night.query('SELECT id FROM contracts ORDER BY id'), [{ id: 'a' }, { id: 'b' }]);
});

test("a rerun called elsewhere replaces the run's report file, and one of a sample leaves the night's alone", async (t) => {
  const records = [{ id: 'a' }, { id: 'b' }];
  const { server, night } = await scriptedNight(t, { script: listAndLookUp(records, () => undefined) });
  const run = ['run', 'job.yaml', '--date', '2026-11-20', '--report'];
  const modeIn = async (name: string): Promise<string> => (await night.report(name)).run.mode;
  // In this process, and so not in the folder of the reports.
  assert.equal((await night.nightfill(...run, 'sample.json', '--limit', '1')).exitCode, 3);
  assert.equal((await night.nightfill(...run, 'night.json')).exitCode, 3);
  server.answerWith(listAndLookUp(records));
  const [sample] = await night.query<{ id: string }>('SELECT id FROM nightfill.run ORDER BY started_at LIMIT 1');
  assert.equal((await night.nightfill('rerun', sample!.id)).exitCode, 0);
  assert.deepEqual([await modeIn('sample.json'), await modeIn('night.json')], ['rerun', 'normal']);
  assert.equal((await night.nightfill('rerun')).exitCode, 0);
  assert.equal(await modeIn('night.json'), 'rerun');
});
