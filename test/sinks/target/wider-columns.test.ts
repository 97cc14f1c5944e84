import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { copyUpsert } from '../../../src/sinks/target/copy-upsert.ts';
import { inspectTarget, prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { declare, openDatabase } from '../../support/load-fixture.ts';

/** The job's type, and types that the table may have instead. */
const wider: Record<string, readonly string[]> = {
  smallint: ['integer', 'bigint', 'numeric', 'numeric(5,0)', 'numeric(9,4)'],
  integer: ['bigint', 'numeric(10,0)', 'numeric'],
  bigint: ['numeric(19,0)', 'numeric(21,2)'],
  'numeric(18,2)': ['numeric(18,2)', 'numeric(20,4)', 'numeric(19,2)', 'numeric'],
  'varchar(20)': ['varchar(40)', 'varchar', 'text'],
  varchar: ['text'],
  text: ['varchar'],
  'char(3)': ['char(5)'],
  'timestamp(3)': ['timestamp', 'timestamp(6)', 'timestamp(4)'],
  'timestamptz(0)': ['timestamptz'],
};

/** And those that it may not. */
const others: Record<string, readonly string[]> = {
  integer: ['smallint', 'numeric(9,0)', 'numeric(12,3)', 'real', 'text'],
  numeric: ['numeric(38,10)', 'double precision'],
  'numeric(18,2)': ['numeric(18,1)', 'numeric(18,4)', 'numeric(17,2)', 'bigint', 'money'],
  'varchar(20)': ['varchar(19)', 'char(20)', 'jsonb'],
  text: ['varchar(4000)', 'char(9)', '"char"', 'name'],
  'char(3)': ['char(2)', 'varchar(3)', 'text', 'bpchar'],
  real: ['double precision'],
  date: ['timestamp', 'text'],
  json: ['jsonb'],
  timestamp: ['timestamp(3)', 'timestamptz'],
  'numeric(18,2)[]': ['numeric(20,4)[]'],
};

test('a column that is wider than the job says is taken, and any other is refused', async () => {
  const database = await openDatabase();
  const problemsOf = async (job: string, table: string) => {
    await database.query(`DROP TABLE IF EXISTS target; CREATE TABLE target (id text PRIMARY KEY, c ${table})`);
    const { problems } = await database.withTransaction(async (client) =>
      inspectTarget(client, declare({ id: 'text', c: job })),
    );
    return problems.map(({ code }) => code);
  };
  for (const [job, tables] of Object.entries(wider))
    for (const table of tables) assert.deepEqual(await problemsOf(job, table), [], `${job} in ${table}`);
  for (const [job, tables] of Object.entries(others))
    for (const table of tables) assert.deepEqual(await problemsOf(job, table), ['TYPE_DIFFERS'], `${job} in ${table}`);
});

test('rows loaded before a table was widened are found unchanged after it, by keys and columns of every kind', async () => {
  const database = await openDatabase();
  const declared = declare(
    {
      id: 'varchar(9)',
      n: 'integer',
      amount: 'numeric(18,2)',
      name: 'varchar(20)',
      currency: 'char(3)',
      at: 'timestamp(0)',
    },
    { key: ['id', 'n'] },
  );
  const rows: Row[] = [
    ['a', '1', '12.5', 'one', 'EUR', '2026-11-21 04:00:00'],
    ['b ', '2', '-0.10', 'two  ', 'EU', null],
  ];
  const sums = [{ column: 'amount', by: 'currency' }];
  const load = async () =>
    database.withTransaction(async (client) =>
      copyUpsert(client, await prepareTarget(client, declared), rows, { sums }),
    );
  const first = await load();
  assert.equal(first.inserted, 2);
  await database.query(
    `ALTER TABLE target ALTER id TYPE text, ALTER n TYPE bigint, ALTER amount TYPE numeric(20,4),
       ALTER name TYPE varchar(40), ALTER currency TYPE char(5), ALTER at TYPE timestamp`,
  );
  const second = await load();
  assert.deepEqual([second.inserted, second.updated, second.unchanged, second.rejected], [0, 0, 2, []]);
  const amounts = (result: typeof first) =>
    result.totals.map(({ by, sourced, loaded }) => [by, Number(sourced), sourced === loaded]);
  assert.deepEqual(amounts(second), amounts(first));
  // What the job's own type does not hold stays a failure, although the table could hold it.
  rows.push(['c', '3000000000', '1', 'three', 'EUR', null], ['d', '4', '1', 'four', 'EUR', null]);
  const third = await load();
  assert.deepEqual([third.inserted, third.rejected.map(({ row, code }) => [row, code])], [1, [[2, 'PG_22003']]]);
});

test('the statement that mends a column stands in its problem, and mends it', async () => {
  const database = await openDatabase();
  await database.query(
    `CREATE TABLE target (id text PRIMARY KEY, amount numeric(12,4), name varchar(5), n int, at text)`,
  );
  const declared = declare({
    id: 'text',
    amount: 'numeric(18,2)',
    name: 'varchar(20)',
    n: 'bigint',
    at: 'date',
    'more, or less': 'decimal(18,2)',
  });
  const inspect = async () => database.withTransaction(async (client) => inspectTarget(client, declared));
  const { problems } = await inspect();
  const statements = problems.map(({ message }) => /ALTER TABLE .*$/.exec(message)?.[0]);
  const alter = 'ALTER TABLE "public"."target"';
  assert.deepEqual(statements, [
    `${alter} ALTER COLUMN "amount" TYPE numeric(20,4)`,
    `${alter} ALTER COLUMN "name" TYPE character varying(20)`,
    `${alter} ALTER COLUMN "n" TYPE bigint`,
    `${alter} ALTER COLUMN "at" TYPE date USING "at"::date`,
    `${alter} ADD COLUMN "more, or less" numeric(18,2)`,
  ]);
  await database.query(statements.join(';'));
  assert.deepEqual((await inspect()).problems, []);
});
