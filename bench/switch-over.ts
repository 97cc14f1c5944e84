/*
 * What the switch of `commit: run` takes as the number of chunks grows, with the locks that its transaction holds.
 * Run: npx node bench/switch-over.ts [rows per chunk] [chunks …] (10 500 1000 2000 10000)
 * Uses NIGHTFILL_TEST_CLUSTER when set, else a throw-away cluster.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Job } from '../src/jobs/job.ts';
import { Progress } from '../src/jobs/run/progress.ts';
import type { RunContext } from '../src/jobs/run/run-context.ts';
import { RunLedger } from '../src/ledger/run-ledger.ts';
import { switchOver } from '../src/jobs/load/switch-over.ts';
import { createLog } from '../src/observe/log.ts';
import { systemClock } from '../src/resilience/clock.ts';
import { migrate } from '../src/ledger/migrations.ts';
import { Database } from '../src/sinks/postgres/postgres.ts';
import { prepareTarget } from '../src/sinks/target/target-table.ts';
import { startCluster } from '../test/support/cluster.ts';
import { seedNights } from '../test/support/seeded-ledger.ts';

const [rowsPerChunk = 10, ...sizes] = process.argv.slice(2).map(Number);
const given = process.env['NIGHTFILL_TEST_CLUSTER'];
await using cluster = given ? undefined : await startCluster();
const server = given ?? cluster!.url;

const load: Job['load'] = {
  table: { schema: 'public', name: 'contracts' },
  key: ['id'],
  columns: [
    { name: 'id', type: 'text' },
    { name: 'currency', type: 'char(3)' },
    { name: 'amount', type: 'numeric(18,2)' },
  ],
  create: true,
  missing: 'keep',
  markAtMost: 0.5,
};
const judged = { severity: 'fail', tolerance: { absolute: '0', share: 0 } } as const;
const job = {
  name: 'seeded',
  load,
  controls: [{ type: 'sum', column: 'amount', by: 'currency', ...judged }],
  commit: 'run',
} as unknown as Job;

for (const chunks of sizes.length > 0 ? sizes : [500, 1_000, 2_000, 10_000]) await measure(chunks);

async function measure(chunks: number): Promise<void> {
  const name = `bench_${randomUUID().replaceAll('-', '')}`;
  await onServer(`CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  {
    await using database = await Database.open({ config: { connectionString: url.href }, description: 'the bench' });
    await migrate(database);
    const contracts = chunks * rowsPerChunk;
    const [night] = await seedNights(database, { contracts, chunkSize: rowsPerChunk, staged: true });
    await database.query(`UPDATE nightfill.instance SET knows_rows = true`);
    const token = randomUUID();
    await database.query(
      `INSERT INTO nightfill.lease (job, token, run, host, process_id, process_born, renewed_at, expires_at)
       VALUES ('seeded', $1, $2, 'bench', 1, '', now(), now() + interval '1 hour')`,
      [token, night!.run],
    );
    const { signal } = new AbortController();
    const log = createLog({ level: 'error', secrets: [] });
    const names = { job: job.name, instance: night!.instance, run: night!.run, token };
    const ledger = new RunLedger({
      ...names,
      database,
      clock: systemClock,
      log,
      signal,
      databaseWaitMs: 0,
      once: true,
    });
    const target = await database.withTransaction(async (client) => prepareTarget(client, load));
    using progress = new Progress({ clock: systemClock });
    const context = { job, target, ledger, clock: systemClock, stop: { signal }, progress } as unknown as RunContext;
    let locks = 0;
    const watch = setInterval(() => {
      void database
        .query<{ locks: number }>(`SELECT count(*)::integer AS locks FROM pg_locks WHERE pid <> pg_backend_pid()`)
        .then(({ rows }) => (locks = Math.max(locks, rows[0]!.locks)));
    }, 100);
    const began = performance.now();
    const obstacle = await switchOver(context);
    const ms = performance.now() - began;
    clearInterval(watch);
    if (obstacle) throw new Error(obstacle);
    const { rows } = await database.query<{ n: number }>('SELECT count(*)::integer AS n FROM contracts');
    if (rows[0]!.n !== contracts) throw new Error(`${rows[0]!.n} rows of ${contracts} stand in the target`);
    process.stdout.write(
      `${String(chunks).padStart(6)} chunks of ${rowsPerChunk}: ${(ms / 1_000).toFixed(1)} s, ${((1_000 * ms) / contracts).toFixed(0)} µs a row, at most ${locks} locks\n`,
    );
  }
  await onServer(`DROP DATABASE ${name}`);
}

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  await client.query(statement);
  await client.end();
}
