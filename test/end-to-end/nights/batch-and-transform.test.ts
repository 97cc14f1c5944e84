import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { startNight } from '../../support/night.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

const total = 230;

/** Lists contracts c0… of customers u0…, and answers usage for many customers at once; u13 has none. */
async function serve(t: TestContext): Promise<ScriptedServer> {
  const server = await ScriptedServer.start(({ url }) => {
    const { pathname, searchParams } = new URL(url, 'http://server');
    if (pathname === '/contracts')
      return { json: Array.from({ length: total }, (_, index) => ({ id: `c${index}`, customer: `u${index % 115}` })) };
    assert.equal(pathname, '/usage');
    const ids = searchParams.get('ids')!.split(',');
    const records = ids.filter((id) => id !== 'u13').map((id) => `{"customerId":"${id}","units":1${id.slice(1)}.10}`);
    return { headers: { 'content-type': 'application/json' }, body: `{"data":[${records.toReversed().join(',')}]}` };
  });
  t.after(async () => server[Symbol.asyncDispose]());
  return server;
}

const job = (extra = '') => `
name: batches
apis:
  crm: { type: rest, baseUrl: "\${API}", limits: { concurrency: 20 } }
contracts: { api: crm, path: /contracts, key: id, paginate: { type: none } }
lookups:
  usage:
    api: crm
    path: /usage
    query: { ids: "{listed.customer}", month: "{businessMonth}" }
    batch: { size: 50, param: ids, records: data, key: customerId }
load:
  table: batches
  key: [id]
  columns:
    id:    { from: listed.id, type: text }
    units: { from: usage.units, type: numeric }
${extra}`;

test('a batched lookup asks for many contracts in one request and for each id once; a record left out fails its contracts alone', async (t) => {
  const server = await serve(t);
  const night = await startNight(t, { environment: { API: server.origin } });
  await night.write('job.yaml', job());
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 3, run.stdout + run.stderr);

  const asked = server.requests.filter(({ url }) => url.startsWith('/usage'));
  const ids = asked.map(({ url }) => new URL(url, 'http://server').searchParams.get('ids')!.split(','));
  assert(ids.every((batch) => batch.length <= 50));
  assert.equal(ids.flat().length, 115, 'each customer once');
  assert.equal(new Set(ids.flat()).size, 115);
  assert(asked.length <= 6, `${asked.length} requests for 115 customers`);

  const { failures, counts } = await night.report();
  assert.deepEqual([counts.enriched, counts.failed], [total - 2, 2]);
  assert.deepEqual(
    failures.map(({ key, code }) => [key, code]),
    [
      ['c128', 'BATCH_RECORD_MISSING'],
      ['c13', 'BATCH_RECORD_MISSING'],
    ],
  );
  const [row] = await night.query<{ units: string }>(`SELECT units::text FROM batches WHERE id = 'c114'`);
  assert.equal(row!.units, '1114.10');
});

test('several records for one id in a batched answer fail its contracts alone, and none of them is loaded', async (t) => {
  const server = await ScriptedServer.start(({ url }) =>
    url.startsWith('/contracts')
      ? { json: ['u1', 'u2', 'u3', 'u2'].map((customer, index) => ({ id: `c${index + 1}`, customer })) }
      : { json: { data: ['u1', 'u2', 'u3', 'u2', 'u2'].map((id, index) => ({ customerId: id, units: 100 + index })) } },
  );
  t.after(async () => server[Symbol.asyncDispose]());
  const night = await startNight(t, { environment: { API: server.origin } });
  await night.write('job.yaml', job());
  const [file, report] = ['job.yaml', 'report.json'];
  const run = await night.nightfill('run', file, '--report', report);
  assert.equal(run.exitCode, 3, run.stdout + run.stderr);
  const { failures } = await night.report('report.json');
  assert.deepEqual(
    failures.map(({ key, code, class: kind }) => [key, code, kind]),
    [
      ['c2', 'BATCH_RECORD_TWICE', 'data'],
      ['c4', 'BATCH_RECORD_TWICE', 'data'],
    ],
  );
  assert.match(failures[0]!.message, /expected one with customerId "u2", got 3/);
  assert.deepEqual(await night.query('SELECT id, units::text FROM batches ORDER BY id'), [
    { id: 'c1', units: '100' },
    { id: 'c3', units: '102' },
  ]);
});

test("a transform makes the row in a worker thread, exact digits included; what it throws is that contract's failure, and what it prints is no result", async (t) => {
  const server = await serve(t);
  const night = await startNight(t, { environment: { API: server.origin } });
  await night.write(
    'rows.ts',
    `import { isMainThread } from 'node:worker_threads';
     import { stdout } from 'node:process';
     console.log('printed while loading');
     stdout.write('written by name\\n');
     interface Parts { key: string; businessDate: string; usage: { units: number } }
     export default function row({ key, businessDate, usage }: Parts): object {
       console.log('printed for', key);
       process.stdout.write(\`written for \${key}\\n\`);
       if (key === 'c7') throw new Error('no seventh');
       return { units: usage.units, note: \`\${key} \${businessDate} \${isMainThread}\` };
     }`,
  );
  await night.write('job.yaml', `${job('    note:  { type: text }\n')}transform: ./rows.ts\n`);
  // What is printed goes to the process's own standard error.
  const run = await night.startProcess('run', 'job.yaml', '--date', '2026-03-05', '--json').ended;
  assert.equal(run.exitCode, 3, run.stdout + run.stderr);
  assert.equal((JSON.parse(run.stdout) as Report).run.businessDate, '2026-03-05');
  for (const printed of ['printed while loading', 'written by name', 'printed for c8', 'written for c8'])
    assert(run.stderr.includes(`${printed}\n`), printed);

  const { failures } = await night.report();
  assert.deepEqual(failures.find(({ key }) => key === 'c7')?.code, 'TRANSFORM_FAILED');
  assert.match(failures.find(({ key }) => key === 'c7')!.message, /no seventh/);
  const rows = await night.query(`SELECT id, units::text, note FROM batches WHERE id IN ('c7', 'c8')`);
  assert.deepEqual(rows, [{ id: 'c8', units: '18.10', note: 'c8 2026-03-05 false' }]);
});

test('a transform that cannot be loaded is told before anything is asked', async (t) => {
  const server = await serve(t);
  const night = await startNight(t, { environment: { API: server.origin } });
  await night.write('rows.ts', 'export const row = 1;');
  await night.write('job.yaml', `${job()}transform: ./rows.ts\n`);
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 2, run.stdout + run.stderr);
  assert.match(run.stderr, /rows\.ts cannot be used: its default export is not a function/);
  assert.deepEqual(server.requests, []);
});
