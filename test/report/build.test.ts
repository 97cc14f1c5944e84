import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { joinByHash } from '../../src/ledger/join-by-hash.ts';
import { buildReport, withVerdict } from '../../src/report/build.ts';
import type { RunFigures } from '../../src/report/figures.ts';
import type { ReportBody } from '../../src/report/schema.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNights } from '../support/seeded-ledger.ts';
import { seedNight, type SeededContract } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });
let jobs = 0;

async function reportOf(contracts: readonly SeededContract[], figures: Partial<RunFigures> = {}): Promise<ReportBody> {
  const job = `report ${++jobs}`;
  const { run } = await seedNight(database, { job, contracts, figures: { ...seededFigures, ...figures } });
  return (await buildReport(database, run)).body;
}

test('a report is made of the ledger and of the figures stored with the run', async () => {
  const { run, counts, attempts, generator, timing, marked } = await reportOf([{ key: 'a' }, { key: 'b' }]);
  assert.deepEqual(generator, seededFigures.generator);
  const { id, job, businessDate, startedAt, finishedAt, durationMs, database: where, overNewer } = run;
  assert.deepEqual(
    [job, businessDate, startedAt, finishedAt, durationMs, where, overNewer],
    [
      `report ${jobs}`,
      '2026-11-20',
      '2026-11-21T02:00:00.000Z',
      '2026-11-21T03:00:00.000Z',
      3_600_000,
      'the ledger',
      null,
    ],
  );
  assert.equal(counts.enriched, 2);
  assert.deepEqual(
    attempts.map(({ runId, contracts, loaded }) => ({ runId, contracts, loaded })),
    [{ runId: id, contracts: 2, loaded: 2 }],
  );
  assert.deepEqual([timing.finishBy, timing.met, marked], [null, null, null]);
});

test('what does not balance is told beside the report, and fails its control', async () => {
  const job = `report ${++jobs}`;
  const { instance, run } = await seedNight(database, { job, contracts: [{ key: 'a' }], figures: seededFigures });
  await database.query('DELETE FROM nightfill.target_row WHERE instance = $1', [instance]);
  const { body, problems } = await buildReport(database, run);
  assert.equal(problems.length, 1);
  assert.equal(body.controls.find(({ name }) => name.startsWith('faults in the books'))?.result, 'fail');
});

test('what only the books need is not in the report', async () => {
  const { amounts } = await reportOf([{ key: 'a', loaded: '2.00' }]);
  assert.deepEqual(Object.keys(amounts[0]!).includes('chunksOff'), false);
});

test('failures stand in the order of chunk and key, each with its amount and what to do', async () => {
  const { failures, failuresOmitted } = await reportOf([
    { key: 'z', outcome: 'failed', amount: null, advice: 'retry-after', adviceAfter: '2026-11-21T05:00:00Z' },
    { key: 'B', outcome: 'failed', amount: '2.50', advice: 'retry-now' },
    { key: 'a', outcome: 'failed', chunk: 2 },
    { key: 'ä', outcome: 'failed' },
  ]);
  assert.deepEqual(
    failures.map(({ key, chunk, amount, currency, advice }) => ({ key, chunk, amount, currency, advice })),
    [
      { key: 'B', chunk: 1, amount: '2.50', currency: 'EUR', advice: { action: 'retry-now' } },
      {
        key: 'z',
        chunk: 1,
        amount: undefined,
        currency: undefined,
        advice: { action: 'retry-after', after: '2026-11-21T05:00:00.000Z' },
      },
      { key: 'ä', chunk: 1, amount: '1.00', currency: 'EUR', advice: { action: 'fix-record' } },
      { key: 'a', chunk: 2, amount: '1.00', currency: 'EUR', advice: { action: 'fix-record' } },
    ],
  );
  assert.equal(failuresOmitted, 0);
});

test('a listing that failed comes first among the failures', async () => {
  const listFailure = { key: null, stage: 'list', code: 'HTTP_500' } as RunFigures['listFailure'];
  const { failures } = await reportOf([{ key: 'a', outcome: 'failed' }], { listFailure });
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['HTTP_500', 'HTTP_404'],
  );
});

test('of more than 10,000 failures those beyond are counted', async () => {
  const [night] = await seedNights(database, { contracts: 10_002, failedEvery: 1, figures: seededFigures });
  const { body } = await database.withTransaction(async (client) => {
    await joinByHash(client);
    return buildReport(client, night!.run);
  });
  const { failures, failuresOmitted } = body;
  assert.deepEqual([failures.length, failuresOmitted], [10_000, 2]);
});

test('a chunk is advised what most of its failures are advised, and one not started when to go on', async () => {
  const job = `report ${++jobs}`;
  const { instance, run } = await seedNight(database, {
    job,
    figures: seededFigures,
    contracts: [
      { key: 'a', outcome: 'failed', advice: 'retry-now' },
      { key: 'b', outcome: 'failed', advice: 'retry-after', adviceAfter: '2026-11-21T05:00:00Z' },
      { key: 'c', outcome: 'failed', advice: 'retry-after', adviceAfter: '2026-11-21T04:00:00Z' },
      { key: 'd', chunk: 2 },
      { key: 'e', chunk: 3, outcome: 'not-started' },
      { key: 'f', chunk: 4, outcome: 'not-started' },
    ],
  });
  await database.query(
    `UPDATE nightfill.chunk SET reason = 'no quota', retry_after = '2026-11-22T00:00:00Z' WHERE instance = $1 AND number = 3`,
    [instance],
  );
  const { chunks } = (await buildReport(database, run)).body;
  assert.deepEqual(
    chunks.map(({ number, status, reason, advice }) => ({ number, status, reason, advice })),
    [
      {
        number: 1,
        status: 'failed',
        reason: null,
        advice: { action: 'retry-after', after: '2026-11-21T05:00:00.000Z' },
      },
      { number: 2, status: 'succeeded', reason: null, advice: null },
      {
        number: 3,
        status: 'not-started',
        reason: 'no quota',
        advice: { action: 'retry-after', after: '2026-11-22T00:00:00.000Z' },
      },
      { number: 4, status: 'not-started', reason: null, advice: { action: 'retry-now' } },
    ],
  );
});

const api = (rates: { requests: number; perMs: number }[], requests: number) =>
  ({ requests, rates, concurrency: { limit: 10 }, latencyMs: { p50: 100 } }) as unknown as RunFigures['apis'][number];

for (const [what, apis, idealMs, efficiency] of [
  ['the slowest API by its rate', [api([{ requests: 10, perMs: 1_000 }], 100), api([], 10)], 9_100, 0.91],
  ['concurrency where no rate is the bound', [api([], 100)], 1_000, 0.1],
  ['nothing where nothing was asked', [], 0, 0],
] as const) {
  test(`the ideal time is that of ${what}: ${idealMs} ms`, async () => {
    const { timing } = await reportOf([{ key: 'a' }], { apis: [...apis], workMs: 10_000 });
    assert.deepEqual([timing.idealMs, timing.efficiency], [idealMs, efficiency]);
  });
}

test('a run without any work wasted no time', async () => {
  assert.equal((await reportOf([], { workMs: 0 })).timing.efficiency, 1);
});

test('whether the deadline was met is told where there is one', async () => {
  const met = async (finishBy: string) => (await reportOf([{ key: 'a' }], { finishBy })).timing.met;
  assert.equal(await met('2026-11-21T03:00:00.000Z'), true);
  assert.equal(await met('2026-11-21T02:59:59.999Z'), false);
});

test('the report tells of marks what was marked, and not how that was judged', async () => {
  const marked = { contracts: 3, tonight: 1, amounts: [], reason: null };
  assert.deepEqual((await reportOf([], { marking: { ...marked, control: null } })).marked, marked);
});

test('the verdict is that of the run and of its own attempt, and no other', async () => {
  const body = await reportOf([{ key: 'a' }]);
  const earlier = { ...body.attempts[0]!, runId: 'earlier', status: 'crashed' as const };
  const judged = withVerdict(
    { ...body, attempts: [earlier, ...body.attempts] },
    { status: 'stopped', exitCode: 6, reason: 'the deadline was too near' },
  );
  assert.deepEqual(
    [judged.run.status, judged.run.exitCode, judged.run.reason],
    ['stopped', 6, 'the deadline was too near'],
  );
  assert.deepEqual(
    judged.attempts.map(({ status, exitCode }) => `${status} ${exitCode}`),
    ['crashed 0', 'stopped 6'],
  );
});

test('a run that ended before its figures were stored has no report, and says which has', async () => {
  const { run } = await seedNight(database, { job: `report ${++jobs}`, contracts: [] });
  await assert.rejects(buildReport(database, run), {
    code: 'NO_REPORT',
    message: `run ${run} has no report: it ended before its figures were stored; the run that continued it has`,
  });
});
