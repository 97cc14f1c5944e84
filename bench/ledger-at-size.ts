/*
 * What the ledger's queries take at size: a night of many contracts after a history of many nights, written by SQL. Once
 * each with the statistics that Postgres may have when a night closes: those of the nights before, none at all, and
 * those of the night itself.
 * Run: npx node bench/ledger-at-size.ts [contracts] [chunk size] [nights before] [contracts of each]
 * (1000000 500 1000 1000). With EXPLAIN=1 every statement's plan goes to standard error.
 * Uses NIGHTFILL_TEST_CLUSTER when set, else a throw-away cluster, synced to disk as a real one is.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { hiddenInstances, hideInstance, sweep } from '../src/ledger/forget.ts';
import { readHistory } from '../src/ledger/history/history.ts';
import { readRuns } from '../src/ledger/history/runs.ts';
import type { Job } from '../src/jobs/job.ts';
import { joinByHash } from '../src/ledger/join-by-hash.ts';
import { findRun } from '../src/ledger/find-run.ts';
import * as instances from '../src/ledger/instance.ts';
import { explainNotStarted } from '../src/ledger/not-started.ts';
import { latestRunOf, takeOver } from '../src/ledger/run.ts';
import { rememberedTarget } from '../src/ledger/loaded-row.ts';
import { markMissing } from '../src/jobs/load/mark-missing.ts';
import {
  countFailures,
  readChunkLines,
  readControlLines,
  readFailureLines,
} from '../src/ledger/history/night-details.ts';
import { readNightLedger } from '../src/jobs/forecast/night-ledger.ts';
import { isHoldingBack, isHeldBackOtherwise } from '../src/ledger/held-back.ts';
import { readChunk, unfinishedChunks } from '../src/ledger/planned-work.ts';
import { countHeldBack } from '../src/ledger/held-back.ts';
import { readSwitchPace } from '../src/ledger/history/switch-pace.ts';
import { buildReport } from '../src/report/build.ts';
import { migrate } from '../src/ledger/migrations.ts';
import { Database, type ClientForCopy, type Queryable } from '../src/sinks/postgres/postgres.ts';
import { prepareTarget } from '../src/sinks/target/target-table.ts';
import { startCluster } from '../test/support/cluster.ts';
import { seededFigures, seededReport } from '../test/support/seeded-figures.ts';
import { seedNights } from '../test/support/seeded-ledger.ts';

const [contracts = 1_000_000, chunkSize = 500, nights = 1_000, contractsOfEach = 1_000] = process.argv
  .slice(2)
  .map(Number);
const settings = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', max_wal_size: '4GB' };
const given = process.env['NIGHTFILL_TEST_CLUSTER'];
await using cluster = given ? undefined : await startCluster({ settings: { ...settings, shared_buffers: '128MB' } });
const server = given ?? cluster!.url;
const name = `bench_${randomUUID().replaceAll('-', '')}`;
await onServer(`CREATE DATABASE ${name}`);
const url = new URL(server);
url.pathname = `/${name}`;
const config = { connectionString: url.href };
const database = await Database.open({ config, description: 'the bench' });
/** A statement that takes longer than a minute is ended: that is no answer any more. */
const bounded = await Database.open({ config: { ...config, statement_timeout: 60_000 }, description: 'the bench' });

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  await client.query(statement);
  await client.end();
}

type Work = (on: Queryable & { description: string }) => Promise<unknown>;

/** Times a piece of work in a transaction that is taken back, so that it may write. */
async function timed(work: Work): Promise<string> {
  let statements = 0;
  let ended = '';
  let ms = 0;
  const undo = new Error('taken back');
  const inTransaction = async (client: ClientForCopy): Promise<never> => {
    const query = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => {
      statements += 1;
      if (process.env['EXPLAIN'] === '1') await explain(client, { text, values });
      return client.query<Row>(text, values);
    };
    const began = performance.now();
    await work({ description: 'the bench', query }).catch((error: unknown) => {
      if ((error as { code?: string }).code !== '57014') throw error;
      ended = ', the last of them ended after a minute';
    });
    ms = performance.now() - began;
    throw undo;
  };
  await bounded.withTransaction(inTransaction).catch((error: unknown) => {
    if (error !== undo) throw error;
  });
  return `${ms.toFixed(1).padStart(9)} ms ${String(statements).padStart(6)} statements${ended}`;
}

async function explain(client: ClientForCopy, o: { text: string; values: unknown[] | undefined }): Promise<void> {
  if (!/^\s*(SELECT|WITH|UPDATE|DELETE|INSERT)/i.test(o.text)) return;
  await client.query('SAVEPOINT explained');
  const explained = await client
    .query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE) ${o.text}`, o.values)
    .catch((error: unknown) => ({ rows: [{ 'QUERY PLAN': String(error) }] }));
  await client.query('ROLLBACK TO SAVEPOINT explained');
  process.stderr.write(`${o.text}\n${explained.rows.map((row) => row['QUERY PLAN']).join('\n')}\n\n`);
}

await migrate(database);
const tables = `SELECT oid FROM pg_class WHERE relnamespace = 'nightfill'::regnamespace AND relkind = 'r'`;
await database.query(`DO $$ DECLARE id oid; BEGIN FOR id IN ${tables} LOOP
  EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', id::regclass); END LOOP; END $$`);

const columns = [
  { name: 'id', type: 'text' },
  { name: 'currency', type: 'char(3)' },
  { name: 'amount', type: 'numeric(12,2)' },
];
const load = {
  table: { schema: 'public', name: 'contracts' },
  key: ['id'],
  columns,
  create: true,
  missing: 'mark' as const,
};
const job = {
  name: 'seeded',
  commit: 'run',
  lookups: [] as Job['lookups'],
  apis: {},
  controls: [{ type: 'sum', column: 'amount', by: 'currency' }],
  load: { ...load, markAtMost: 1 },
  file: { path: '/srv/job.yaml' },
} as unknown as Job;
const began = performance.now();
const common = { chunkSize, figures: seededFigures, report: seededReport };
await seedNights(database, { ...common, nights, contracts: contractsOfEach, date: '2026-11-18' });
await database.query('ANALYZE');
const chunks = Math.ceil(contracts / chunkSize);
// Tonight a tenth failed, some stand on last known values, and the last hundredth of the chunks was not started.
const started = chunks - Math.floor(chunks / 100) + 1;
const partly = { ...common, contracts, failedEvery: 10, staleEvery: 99, date: '2026-11-20' };
const [before] = await seedNights(database, { ...common, contracts, date: '2026-11-19' });
const [tonight] = await seedNights(database, { ...partly, notStartedFrom: started });
const [cutOff] = await seedNights(database, { ...partly, job: 'cut-off' });
const [heldBack] = await seedNights(database, { ...partly, notStartedFrom: started, job: 'held-back', staged: true });
const { instance, run } = tonight!;
await database.query(`UPDATE nightfill.instance SET status = 'planning' WHERE id = $1`, [cutOff!.instance]);
const target = await database.withTransaction(async (client) => prepareTarget(client, load));
await database.query(
  `INSERT INTO public.contracts (id, currency, amount) SELECT 'contract-' || n, 'EUR', 1 FROM generate_series(1, $1::integer) AS n`,
  [contracts],
);
// A hundredth of the contracts known before is not listed any more.
await database.query(
  `INSERT INTO nightfill.loaded_row (job, contract, target, row_key, first_instance)
   SELECT 'seeded', CASE n % 100 WHEN 0 THEN 'gone-' ELSE 'contract-' END || n, $1, to_jsonb(ARRAY['contract-' || n]), $2
   FROM generate_series(1, $3::integer) AS n`,
  [rememberedTarget(target), before!.instance, contracts],
);
const count = new Intl.NumberFormat('en-US');
console.log(
  `four nights of ${count.format(contracts)} contracts in ${count.format(chunks)} chunks, and ${count.format(nights)} of ${count.format(contractsOfEach)}; written in ${Math.round((performance.now() - began) / 1_000)} s`,
);

const date = { job: 'seeded', businessDate: '2026-11-20' };
const works: Record<string, Work> = {
  runs: async (on) => readHistory(on, { limit: 20 }),
  'runs --job': async (on) => readHistory(on, { limit: 20, job: 'held-back' }),
  'findRun, latest': async (on) => findRun(on, { run: 'latest' }),
  'findRun, by id': async (on) => findRun(on, { run }),
  'show: the run, its controls and chunks': async (on) => {
    await readRuns(on, { id: run, limit: 1 });
    await readControlLines(on, run);
    await readChunkLines(on, instance);
  },
  'show: failures': async (on) => {
    await countFailures(on, instance);
    await readFailureLines(on, { instance, limit: 50 });
  },
  'show --json: 10,000 failures from the middle': async (on) =>
    readFailureLines(on, { instance, after: { key: '', chunk: Math.ceil(chunks / 2) }, limit: 10_000 }),
  'plan, of a date not begun': async (on) => readNightLedger(on, { job, businessDate: '2026-11-21' }),
  'plan, of what is left of tonight': async (on) => readNightLedger(on, { job, businessDate: '2026-11-20' }),
  'plan, of a listing that was cut off': async (on) =>
    readNightLedger(on, { job: { ...job, name: 'cut-off' }, businessDate: '2026-11-20' }),
  'start: findInstance, latestRunOf': async (on) => {
    await instances.findInstance(on, { ...date, purpose: 'night' });
    await latestRunOf(on, instance);
  },
  'start: hasLoadedRows': async (on) => instances.hasLoadedRows(on, instance),
  'start: isHeldBackOtherwise': async (on) =>
    isHeldBackOtherwise(on as Database, { instance: heldBack!.instance, columns: job.load.columns }),
  'start: isReplaced': async (on) => instances.isReplaced(on, instance),
  'start: takeOver': async (on) => takeOver(on, { job: 'seeded', instance, run, token: randomUUID() }),
  'start: countHeldBack, readSwitchPace': async (on) => {
    await countHeldBack(on, heldBack!.instance);
    await readSwitchPace(on, 'seeded');
  },
  'work: unfinishedChunks': async (on) => unfinishedChunks(on, instance, {}),
  'work: readChunk, one not started': async (on) => readChunk(on, { instance, number: chunks }, {}),
  'work: readChunk, one that failed in part': async (on) => readChunk(on, { instance, number: 1 }, {}),
  'close: isHoldingBack': async (on) => isHoldingBack(on as Database, heldBack!.instance),
  'close: explainNotStarted': async (on) =>
    explainNotStarted(on, { instance, token: run, chunks: undefined, reason: 'x', after: undefined }),
  'close: completeInstance': async (on) => instances.completeInstance(on, instance),
  'close: markMissing': async (on) =>
    markMissing(on, { job, instance: before!.instance, businessDate: '2026-11-19', target, dryRun: false }),
  'close: buildReport': async (on) => {
    await joinByHash(on);
    await buildReport(on, run);
  },
  'close: buildReport, held back': async (on) => {
    await joinByHash(on);
    await buildReport(on, heldBack!.run);
  },
  'prune: what an earlier one left': async (on) => hiddenInstances(on),
};

const width = Math.max(...Object.keys(works).map((work) => work.length));
const forgetStatistics = `DELETE FROM pg_statistic WHERE starelid IN (${tables});
  UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid IN (${tables})
    OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (${tables}))`;
for (const [statistics, statement] of [
  ['of the nights before', 'SELECT'],
  ['none', forgetStatistics],
  ['of the night itself', 'ANALYZE'],
] as const) {
  await database.query(statement);
  console.log(`\nstatistics: ${statistics}`);
  for (const [work, does] of Object.entries(works)) console.log(`  ${work.padEnd(width)} ${await timed(does)}`);
}

console.log('\nforgetting');
for (const [what, id] of [
  ['a night as it was loaded', before!.instance],
  ['a night with failures, held back', heldBack!.instance],
] as const) {
  const hiding = performance.now();
  await hideInstance(database, id);
  const sweeping = performance.now();
  const steps: number[] = [];
  await sweep(database, id, { onRows: () => void steps.push(performance.now()) });
  const longest = Math.max(...steps.map((at, index) => at - (steps[index - 1] ?? sweeping)));
  const seconds = ((performance.now() - sweeping) / 1_000).toFixed(1);
  console.log(
    `  ${what}: hidden in ${(sweeping - hiding).toFixed(1)} ms, swept in ${seconds} s, ${steps.length} steps, the longest ${longest.toFixed(0)} ms`,
  );
}
await bounded.close();
await database.close();
await onServer(`DROP DATABASE ${name} WITH (FORCE)`);
