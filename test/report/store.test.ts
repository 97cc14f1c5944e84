import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { buildReport } from '../../src/report/build.ts';
import type { ReportBody } from '../../src/report/schema.ts';
import { latestReport, readReport } from '../../src/ledger/stored-report.ts';
import { digestOf, formatReport, storeReport, writeReportFile } from '../../src/report/store.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNight } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });
let jobs = 0;
const jobName = (): string => `store ${++jobs}`;

async function bodyOf(job: string, date = '2026-11-20', key = 'a'): Promise<{ body: ReportBody; instance: string }> {
  const { run, instance } = await seedNight(database, { job, date, contracts: [{ key }], figures: seededFigures });
  return { body: (await buildReport(database, run)).body, instance };
}

test('a report is sealed with its own digest and that of the report before it', async () => {
  const job = jobName();
  const first = await storeReport(database, (await bodyOf(job, '2026-11-19')).body);
  const { body } = await bodyOf(job);
  const second = await storeReport(database, body);
  assert.equal(first.integrity.previousSha256, null);
  assert.equal(second.integrity.previousSha256, first.integrity.sha256);
  assert.equal(second.integrity.sha256, digestOf(body));
  assert.notEqual(second.integrity.sha256, digestOf({ ...body, failuresOmitted: 1 }));
  // Canonical: the order of keys is no change.
  assert.equal(digestOf(Object.fromEntries(Object.entries(body).toReversed()) as ReportBody), digestOf(body));
});

test('reports of other jobs are not part of the chain', async () => {
  await storeReport(database, (await bodyOf(jobName(), '2026-11-19')).body);
  assert.equal((await storeReport(database, (await bodyOf(jobName())).body)).integrity.previousSha256, null);
});

test('a report that is stored again replaces itself, and follows the same one', async () => {
  const job = jobName();
  const first = await storeReport(database, (await bodyOf(job, '2026-11-19')).body);
  const { body } = await bodyOf(job);
  await storeReport(database, { ...body, failuresOmitted: 1 });
  const again = await storeReport(database, body);
  assert.equal(again.integrity.previousSha256, first.integrity.sha256);
  assert.equal(await readReport(database, body.run.id), formatReport(again));
});

test('the stored text is what is written, byte for byte; of an instance the latest is given', async () => {
  const { body, instance } = await bodyOf(jobName());
  const report = await storeReport(database, body);
  assert.equal(await readReport(database, body.run.id), formatReport(report));
  assert.deepEqual(JSON.parse(formatReport(report)), report);
  assert.equal(await latestReport(database, instance), formatReport(report));
  const unknown = '00000000-0000-4000-8000-000000000000';
  assert.deepEqual(
    [await readReport(database, unknown), await latestReport(database, unknown)],
    [undefined, undefined],
  );
});

test('what steers a terminal is escaped in the text of a report', async () => {
  const { body } = await bodyOf(jobName(), '2026-11-20', 'c');
  const text = formatReport(
    await storeReport(database, { ...body, run: { ...body.run, reason: 'red \u009b31m, back \u202e' } }),
  );
  assert.match(text, /red \\u009b31m, back \\u202e/);
});

test('figures that the schema does not promise are not stored', async () => {
  const { body } = await bodyOf(jobName());
  await assert.rejects(storeReport(database, { ...body, counts: { ...body.counts, failed: -1 } }), {
    code: 'REPORT_INVALID',
    message: new RegExp(`^the report of run ${body.run.id} breaks its own schema at counts\\.failed: `),
  });
  assert.equal(await readReport(database, body.run.id), undefined);
});

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'nightfill-store-'));
  t.after(async () => rm(made, { recursive: true, force: true }));
  return made;
}

test('a report file and the folders around it are for their owner and the group', async (t) => {
  const file = path.join(await folder(t), 'reports', 'tonight.json');
  await writeReportFile(file, 'first\n');
  await writeReportFile(file, 'second\n');
  assert.equal(await readFile(file, 'utf8'), 'second\n');
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  assert.equal((await stat(path.dirname(file))).mode & 0o777, 0o750);
  assert.deepEqual(await readdir(path.dirname(file)), ['tonight.json'], 'nothing unfinished is left');
});

test('a place that takes no report is told, with where the report stands', async (t) => {
  const place = path.join(await folder(t), 'file');
  await writeReportFile(place, 'in the way');
  await chmod(place, 0o600);
  await assert.rejects(writeReportFile(path.join(place, 'report.json'), 'text'), {
    code: 'REPORT_NOT_WRITTEN',
    message: /^the report cannot be written to .*it stands in the database/,
  });
  assert.equal(await readFile(place, 'utf8'), 'in the way');
});
