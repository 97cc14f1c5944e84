import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportSchema } from '../../../src/report/schema.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

test('a renamed job is told of its former name, and its history can be carried over', async (t) => {
  const all = ['a', 'b', 'c'].map((id) => ({ id }));
  const { night, server } = await scriptedNight(t, {
    script: listAndLookUp(all, (id) => ({ id, amount: 1 })),
    job: { contracts: { total: 'total' }, load: markedLoad, controls: [] },
  });
  const list = (records: object[]) => {
    const answer = listAndLookUp(records, (id) => ({ id, amount: 1 }));
    server.answerWith(({ url }) =>
      url === '/contracts' ? { json: { data: records, total: records.length } } : answer({ url }),
    );
  };
  const run = async (date: string) => night.nightfill('run', 'job.yaml', '--date', date, '--report', 'report.json');
  const note =
    /note {2}renamed has no night yet, and public\.contracts was loaded by job scripted, last for 2026-11-20; .*nightfill migrate --rename-job scripted=renamed/;
  list(all);
  for (const date of ['2026-11-19', '2026-11-20']) assert.equal((await run(date)).exitCode, 0);
  assert.doesNotMatch((await night.nightfill('check', 'job.yaml')).stdout, /note/);

  await night.write('job.yaml', (await night.read('job.yaml')).replace('"scripted"', '"renamed"'));
  assert.match((await night.nightfill('check', 'job.yaml')).stdout, note);
  const refused = await night.nightfill('rerun', 'latest', '--report', 'report.json');
  assert.match(refused.stderr, /was of job scripted.*--rename-job scripted=renamed/);
  // Noticed only after the first night under the new name, of a date that the former name has done as well.
  list(all.slice(1));
  assert.equal((await run('2026-11-20')).exitCode, 0);
  assert.doesNotMatch((await night.nightfill('check', 'job.yaml')).stdout, /note/, 'two jobs may share a table');

  await night.query(`INSERT INTO nightfill.last_known VALUES ('scripted', 'l', 'a', '1', now()), ('scripted', 'l', 'b', '1', now()),
    ('renamed', 'l', 'b', '2', now())`);
  const busy = async (job: string) =>
    night.query(
      `INSERT INTO nightfill.lease VALUES ($1, gen_random_uuid(), gen_random_uuid(), 'h', 1, '', now(), now() + interval '1 hour')`,
      [job],
    );
  const rename = async (names: string) =>
    night.nightfill('migrate', '--rename-job', names, '--database-url', night.databaseUrl);
  await busy('renamed');
  assert.match((await rename('scripted=renamed')).stderr, /a run of renamed is at work/);
  await night.query('DELETE FROM nightfill.lease');
  const unknown = await rename('scriptd=renamed');
  assert.deepEqual([unknown.exitCode, /knows renamed, scripted/.test(unknown.stderr)], [2, true], unknown.stderr);
  const renamed = await rename('scripted=renamed');
  assert.match(renamed.stdout, /nights of scripted given to renamed, .*: 2\n/, renamed.stderr);

  const left = await night.query<{ job: string }>(
    `SELECT job FROM nightfill.instance UNION SELECT job FROM nightfill.report UNION SELECT job FROM nightfill.loaded_row
     UNION SELECT job FROM nightfill.last_known`,
  );
  assert.deepEqual(left, [{ job: 'renamed' }]);
  assert.deepEqual(await night.query('SELECT key, value::text FROM nightfill.last_known ORDER BY key'), [
    { key: 'a', value: '1' },
    { key: 'b', value: '2' },
  ]);
  const [latest] = await night.query<{ listed: number }>(
    `SELECT listed FROM nightfill.instance WHERE business_date = '2026-11-20' ORDER BY generation DESC LIMIT 1`,
  );
  assert.equal(latest?.listed, 2, 'of two plans for one date the new name has made the later one');
  // What the former name loaded and is no longer listed is found missing again.
  assert.equal((await run('2026-11-21')).exitCode, 0);
  const { marked, previous } = reportSchema.parse(JSON.parse(await night.read('report.json')));
  assert.deepEqual([marked?.contracts, previous?.businessDate], [1, '2026-11-20']);
});

const markedLoad = {
  table: 'contracts',
  key: ['id'],
  missing: 'mark',
  columns: { id: { from: 'contract.id', type: 'text' }, amount: { from: 'contract.amount', type: 'numeric(12,2)' } },
};
