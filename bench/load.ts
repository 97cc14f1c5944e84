/*
 * How fast rows are loaded, against the recipe everyone knows: a temporary table LIKE the target, COPY as text, upsert
 * of every row. Both run here, in turn, on the same server; only their ratio means something on another machine.
 * Run: npx node bench/load.ts [rows] [rows per chunk]
 * Uses NIGHTFILL_TEST_CLUSTER when set, else a throw-away cluster.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { copyUpsert } from '../src/sinks/target/copy-upsert.ts';
import type { Row } from '../src/sinks/target/copy-upsert.ts';
import { Database } from '../src/sinks/postgres/postgres.ts';
import { prepareTarget } from '../src/sinks/target/target-table.ts';
import type { TargetTable } from '../src/sinks/target/target-table.ts';
import { startCluster } from '../test/support/cluster.ts';

const total = Number(process.argv[2] ?? 100_000);
const chunk = Number(process.argv[3] ?? 5_000);
const REPEATS = 5;

const columns = {
  contract_id: 'text',
  customer_id: 'text',
  customer_name: 'text',
  currency: 'char(3)',
  annual_value: 'numeric(18,2)',
  usage_units: 'numeric(20,4)',
  starts_on: 'date',
  renews_on: 'date',
  seats: 'int',
  status: 'text',
  auto_renew: 'boolean',
  updated_at: 'timestamptz',
  attributes: 'jsonb',
};
const declaration = {
  key: ['contract_id'],
  columns: Object.entries(columns).map(([name, type]) => ({ name, type })),
  create: true,
};

/** Contracts in the order of a hash, so that keys arrive as an API lists them rather than sorted. */
function makeRows(night: number): Row[] {
  return Array.from({ length: total }, (_, index) => {
    const number = (index * 7_919) % total;
    const value = ((number * 37 + night * 11) % 1_000_000) / 100;
    return [
      `contract-${String(number).padStart(8, '0')}`,
      `customer-${number % 5000}`,
      `Müller & Söhne ${number % 5000} GmbH`,
      number % 3 ? 'EUR' : 'USD',
      value.toFixed(2),
      (value * 3).toFixed(4),
      '2024-01-01',
      '2026-12-31',
      String(number % 500),
      'active',
      number % 2 ? 'true' : 'false',
      `2026-01-0${night + 1}T02:00:00Z`,
      `{"region":"EMEA","tier":${number % 4}}`,
    ];
  });
}

function* chunks(rows: Row[]): Generator<Row[]> {
  for (let first = 0; first < rows.length; first += chunk) yield rows.slice(first, first + chunk);
}

/** The recipe to beat, as asyncpg users write it. */
async function familiar(database: Database, rows: Row[]): Promise<void> {
  const names = Object.keys(columns);
  for (const part of chunks(rows)) {
    await database.withTransaction(async (client) => {
      await client.query('CREATE TEMP TABLE incoming (LIKE familiar INCLUDING ALL) ON COMMIT DROP');
      await pipeline(
        Readable.from(textLines(part), { objectMode: true }),
        client.query(copyFrom('COPY incoming FROM STDIN')),
      );
      await client.query(`
        INSERT INTO familiar SELECT * FROM incoming ON CONFLICT (contract_id)
        DO UPDATE SET ${names
          .slice(1)
          .map((name) => `${name} = excluded.${name}`)
          .join(', ')}`);
    });
  }
}

const special = /[\\\t\n\r]/g;
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function* textLines(rows: Row[]): Generator<Buffer> {
  let text = '';
  for (const row of rows) {
    text += `${row.map((value) => value?.replace(special, (one) => escapes[one] ?? one) ?? '\\N').join('\t')}\n`;
    if (text.length < 65_536) continue;
    yield Buffer.from(text);
    text = '';
  }
  yield Buffer.from(text);
}

async function nightfill(database: Database, table: TargetTable, parts: Iterable<Row[]>): Promise<void> {
  const sums = [{ column: 'annual_value', by: 'currency' }];
  for (const part of parts) await database.withTransaction(async (client) => copyUpsert(client, table, part, { sums }));
}

/** Two connections take chunks in turn. */
async function nightfillTwice(database: Database, table: TargetTable, rows: Row[]): Promise<void> {
  const parts = chunks(rows);
  // Both loops pull from one generator, and leaving one must not close it.
  const shared = { [Symbol.iterator]: () => ({ next: () => parts.next() }) };
  await Promise.all([nightfill(database, table, shared), nightfill(database, table, shared)]);
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

interface Measured {
  seconds: number[];
  /** Of this process, in microseconds per row. */
  cpu: number[];
}

async function measure(into: Measured, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  into.seconds.push((performance.now() - began) / 1000);
  const { user, system } = process.cpuUsage(cpu);
  into.cpu.push((user + system) / total);
}

const cluster = process.env['NIGHTFILL_TEST_CLUSTER']
  ? undefined
  : await startCluster({ settings: { max_wal_size: '4GB' } });
const url = process.env['NIGHTFILL_TEST_CLUSTER'] ?? cluster?.url ?? '';
const admin = new pg.Client(url);
await admin.connect();
await admin.query('CREATE SCHEMA IF NOT EXISTS public; DROP TABLE IF EXISTS familiar, loaded, loaded_twice');
const database = await Database.open({ config: { connectionString: url }, description: 'the bench', connections: 2 });
const prepare = async (name: string): Promise<TargetTable> =>
  database.withTransaction(async (client) =>
    prepareTarget(client, { ...declaration, table: { schema: 'public', name } }),
  );
await prepare('familiar');
const loaded = await prepare('loaded');
const loadedTwice = await prepare('loaded_twice');

const nights = [makeRows(0), makeRows(1)] as const;
const contestants: Record<string, (rows: Row[]) => Promise<void>> = {
  familiar: async (rows) => familiar(database, rows),
  nightfill: async (rows) => nightfill(database, loaded, chunks(rows)),
  'nightfill, two connections': async (rows) => nightfillTwice(database, loadedTwice, rows),
};
const cases = ['empty', 'changed', 'unchanged'] as const;
const results = new Map<string, Measured>();
for (let repeat = 0; repeat < REPEATS; repeat++) {
  await admin.query('TRUNCATE familiar, loaded, loaded_twice');
  for (const [which, rows] of [
    ['empty', nights[0]],
    ['changed', nights[1]],
    ['unchanged', nights[1]],
  ] as const) {
    for (const [name, work] of Object.entries(contestants)) {
      await admin.query('CHECKPOINT');
      const measured = results.get(`${name} ${which}`) ?? { seconds: [], cpu: [] };
      results.set(`${name} ${which}`, measured);
      await measure(measured, async () => work(rows));
    }
  }
}

console.log(`${total} rows of ${Object.keys(columns).length} columns, chunks of ${chunk}, median of ${REPEATS}`);
for (const which of cases) {
  const base = median(results.get(`familiar ${which}`)?.seconds ?? []);
  for (const name of Object.keys(contestants)) {
    const { seconds = [], cpu = [] } = results.get(`${name} ${which}`) ?? {};
    const rate = Math.round(total / median(seconds));
    console.log(
      `${which.padEnd(10)} ${name.padEnd(27)} ${String(rate).padStart(8)} rows/s  ${median(cpu).toFixed(2)} µs client CPU/row  ratio ${(median(seconds) / base).toFixed(2)}`,
    );
  }
}
await database.close();
await admin.end();
await cluster?.[Symbol.asyncDispose]();
