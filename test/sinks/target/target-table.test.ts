import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Database } from '../../../src/sinks/postgres/postgres.ts';
import { UsageError } from '../../../src/resilience/failure.ts';
import { inspectTarget, prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { createDatabase } from '../../support/database.ts';
import { connect, declare, openDatabase } from '../../support/load-fixture.ts';

type Declaration = ReturnType<typeof declare>;

async function codesOf(database: Database, declaration: Declaration): Promise<(string | undefined)[][]> {
  const { problems } = await database.withTransaction(async (client) => inspectTarget(client, declaration));
  return problems.map(({ column, code }) => (column === undefined ? [code] : [column, code]));
}

const prepare = async (database: Database, declaration: Declaration) =>
  database.withTransaction(async (client) => prepareTarget(client, declaration));

const everyType = {
  id: 'text',
  currency: 'char(3)',
  letter: 'CHAR',
  name: 'character varying (20)',
  amount: 'decimal(18, 2)',
  free: 'numeric',
  units: 'bigint',
  ratio: 'double precision',
  at: 'timestamp(3) with time zone',
  span: 'interval(2)',
  tags: 'text[]',
  prices: 'numeric(18,2)[]',
  bits: 'bit(4)',
  mood: 'app."Mood"',
  moods: 'app."Mood"[]',
  price: 'app.price',
  data: 'jsonb',
};

async function openWithTypes(): Promise<Database> {
  const database = await openDatabase();
  await database.query(`
    CREATE SCHEMA app;
    CREATE TYPE app."Mood" AS ENUM ('glad');
    CREATE DOMAIN app.price AS numeric(12,4) NOT NULL CHECK (VALUE >= 0)`);
  return database;
}

test('a missing table is created with the declared types and the key as its primary key', async () => {
  const database = await openWithTypes();
  const declaration = { ...declare(everyType), table: { schema: 'my own', name: 'the "target"' } };
  const table = await prepare(database, declaration);
  assert.deepEqual(
    table.columns.map(({ name, formatted, castType, shape }) => [name, formatted, castType, shape]),
    [
      ['id', 'text', 'text', { kind: 'text' }],
      ['currency', 'character(3)', 'bpchar', { kind: 'text', length: 3 }],
      ['letter', 'character(1)', 'bpchar', { kind: 'text', length: 1 }],
      ['name', 'character varying(20)', 'character varying', { kind: 'text', length: 20 }],
      ['amount', 'numeric(18,2)', 'numeric', { kind: 'numeric', precision: 18, scale: 2 }],
      ['free', 'numeric', 'numeric', { kind: 'numeric' }],
      ['units', 'bigint', 'bigint', { kind: 'integer' }],
      ['ratio', 'double precision', 'double precision', { kind: 'float' }],
      ['at', 'timestamp(3) with time zone', 'timestamp with time zone', { kind: 'other' }],
      ['span', 'interval(2)', 'interval', { kind: 'other' }],
      ['tags', 'text[]', 'text[]', { kind: 'array', element: { kind: 'text' } }],
      [
        'prices',
        'numeric(18,2)[]',
        'numeric[]',
        { kind: 'array', element: { kind: 'numeric', precision: 18, scale: 2 } },
      ],
      ['bits', 'bit(4)', '"bit"', { kind: 'other' }],
      ['mood', 'app."Mood"', 'app."Mood"', { kind: 'other' }],
      ['moods', 'app."_Mood"', 'app."_Mood"', { kind: 'array', element: { kind: 'other' } }],
      ['price', 'app.price', 'app.price', { kind: 'numeric', precision: 12, scale: 4 }],
      ['data', 'jsonb', 'jsonb', { kind: 'json' }],
    ],
  );
  const { rows } = await database.query(
    `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = '"my own"."the ""target"""'::regclass AND contype = 'p'`,
  );
  assert.deepEqual(rows, [{ definition: 'PRIMARY KEY (id)' }]);
  assert.deepEqual(await prepare(database, declaration), table, 'an existing table gives the same answer');
});

test('several that find the table missing at once create it once', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  const several = await Promise.all(Array.from({ length: 6 }, async () => connect(t, url)));
  const declaration = { ...declare({ id: 'text', amount: 'int' }), table: { schema: 'fresh', name: 'target' } };
  const tables = await Promise.all(several.map(async (database) => prepare(database, declaration)));
  for (const table of tables) assert.deepEqual(table, tables[0]);
});

test('an inspection writes nothing, and works in a read only transaction', async () => {
  const database = await openWithTypes();
  const { problems, exists, table } = await database.withTransaction(async (client) => {
    await client.query('SET TRANSACTION READ ONLY');
    return inspectTarget(client, declare(everyType));
  });
  assert.deepEqual([problems, exists], [[], false]);
  assert.equal(table?.columns.length, Object.keys(everyType).length);
  assert.equal((await database.query(`SELECT FROM pg_class WHERE relname = 'target'`)).rowCount, 0);
});

test('every spelling of the type a table has is accepted', async () => {
  const database = await openWithTypes();
  await database.query(
    'CREATE TABLE target (id varchar(20) PRIMARY KEY, amount numeric(18,2), at timestamptz, n int4, list int[])',
  );
  const spelled = declare({
    id: 'CHARACTER VARYING(20)',
    amount: 'DEC(18,2)',
    at: 'timestamp with time zone',
    n: 'pg_catalog.int4',
    list: 'integer[]',
  });
  assert.deepEqual(await codesOf(database, spelled), []);
});

test('a table that must not be created and is missing is named', async () => {
  const database = await openDatabase();
  assert.deepEqual(await codesOf(database, declare({ id: 'text' }, { create: false })), [['TABLE_MISSING']]);
});

test('everything wrong is said at once, in one usage error', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id text, amount numeric(12,2), made int GENERATED ALWAYS AS IDENTITY,
                         twice int GENERATED ALWAYS AS (1 + 1) STORED, must int NOT NULL, has int NOT NULL DEFAULT 1)`);
  const declaration = declare({
    id: 'text',
    amount: 'numeric(18,2)',
    made: 'int',
    twice: 'int',
    gone: 'date',
    odd: 'nothing_known',
    bad: 'text; DROP TABLE target',
  });
  const expected = [
    ['bad', 'TYPE_UNKNOWN'],
    ['odd', 'TYPE_UNKNOWN'],
    ['amount', 'TYPE_DIFFERS'],
    ['made', 'COLUMN_GENERATED'],
    ['twice', 'COLUMN_GENERATED'],
    ['gone', 'COLUMN_MISSING'],
    ['odd', 'COLUMN_MISSING'],
    ['bad', 'COLUMN_MISSING'],
    ['must', 'COLUMN_NOT_FILLED'],
    ['KEY_NOT_UNIQUE'],
  ];
  assert.deepEqual(await codesOf(database, declaration), expected);
  await assert.rejects(prepare(database, declaration), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.code, 'TARGET_TABLE');
    assert.equal(error.message.split('\n').length, expected.length + 1);
    assert.match(error.message, /column amount is numeric\(12,2\) in the table and numeric\(18,2\) in the job/);
    return true;
  });
});

test('a table that is marked has the column for it: made with the table, never added to one that is there', async () => {
  const database = await openDatabase();
  const declaration = { ...declare({ id: 'text' }), missing: 'mark' as const };
  const table = await prepare(database, declaration);
  assert.deepEqual(await prepare(database, declaration), table);
  assert.deepEqual([table.marked, table.columns.map(({ name }) => name)], [true, ['id']]);
  const { rows } = await database.query(
    `SELECT format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
     WHERE attrelid = 'target'::regclass AND attname = 'missing_since'`,
  );
  assert.deepEqual(rows, [{ type: 'date', attnotnull: false }]);
  for (const [change, code] of [
    ['ALTER missing_since SET NOT NULL', 'COLUMN_NOT_NULL'],
    ['ALTER missing_since TYPE text', 'TYPE_DIFFERS'],
    ['DROP missing_since', 'COLUMN_MISSING'],
  ]) {
    await database.query(`ALTER TABLE target ${change}`);
    assert(
      (await codesOf(database, declaration)).some(([column, said]) => column === 'missing_since' && said === code),
    );
  }
  await assert.rejects(prepare(database, declaration), /ALTER TABLE "public"."target" ADD COLUMN "missing_since" date/);
});

test('a type that would end the cast, take forever to check or be no type at all is refused', async () => {
  const database = await openDatabase();
  const wrong = [
    'int) , pg_sleep(9',
    "text DEFAULT 'x'",
    'int -- x',
    'int /* x */',
    '',
    'text(3)',
    'numeric(1,2,3)',
    `${'a '.repeat(5000)}!`,
    'int not null',
  ];
  for (const type of wrong) {
    assert.deepEqual(await codesOf(database, declare({ id: type })), [['id', 'TYPE_UNKNOWN']], type);
  }
});

test('the key must be among the columns, and no column may come twice', async () => {
  const database = await openDatabase();
  const columns = [
    { name: 'id', type: 'int' },
    { name: 'id', type: 'int' },
  ];
  assert.deepEqual(await codesOf(database, { ...declare({}, { key: ['other'] }), columns }), [
    ['id', 'COLUMN_TWICE'],
    ['other', 'KEY_NOT_LOADED'],
  ]);
  assert.deepEqual(await codesOf(database, declare({ id: 'int' }, { key: [] })), [['KEY_EMPTY']]);
});

test('only a unique key that ON CONFLICT can use will do', async () => {
  const database = await openDatabase();
  await database.query('CREATE TABLE target (id text, month date, note text)');
  const declaration = declare({ id: 'text', month: 'date', note: 'text' }, { key: ['month', 'id'] });
  const definitions: [string, boolean][] = [
    ['UNIQUE INDEX i ON target (id)', false],
    ['UNIQUE INDEX i ON target (id, month, note)', false],
    ['UNIQUE INDEX i ON target (id, month) WHERE note IS NULL', false],
    ['UNIQUE INDEX i ON target (lower(id), month)', false],
    ['UNIQUE INDEX i ON target (id, month, (1))', false],
    ['INDEX i ON target (id, month)', false],
    ['UNIQUE INDEX i ON target (id, month)', true],
    ['UNIQUE INDEX i ON target (month DESC, id) INCLUDE (note)', true],
  ];
  for (const [definition, serves] of definitions) {
    await database.query(`CREATE ${definition}`);
    assert.deepEqual(await codesOf(database, declaration), serves ? [] : [['KEY_NOT_UNIQUE']], definition);
    await database.query('DROP INDEX i');
  }
  await database.query('ALTER TABLE target ADD UNIQUE (id, month) DEFERRABLE');
  assert.deepEqual(await codesOf(database, declaration), [['KEY_NOT_UNIQUE']]);
});

test('views, rules and other things that take no upsert are named; a partitioned table is a table', async () => {
  const database = await openDatabase();
  const declaration = declare({ id: 'int' });
  const drop = { VIEW: 'VIEW', SEQUENCE: 'SEQUENCE', TABLE: 'TABLE' };
  for (const [kind, definition, codes] of [
    ['VIEW', 'AS SELECT 1 AS id', [['NOT_A_TABLE']]],
    ['SEQUENCE', '', [['NOT_A_TABLE']]],
    ['TABLE', '(id int PRIMARY KEY); CREATE RULE r AS ON INSERT TO target DO ALSO NOTHING', [['TABLE_HAS_RULES']]],
    ['TABLE', '(id int PRIMARY KEY) PARTITION BY HASH (id)', []],
  ] as const) {
    await database.query(`CREATE ${kind} target ${definition}`);
    assert.deepEqual(await codesOf(database, declaration), codes, definition);
    await database.query(`DROP ${drop[kind]} target`);
  }
});

test('missing privileges are named for a role that has too few', async () => {
  const database = await openDatabase();
  const role = `loader_${process.pid}`;
  await database.query(`
    CREATE ROLE ${role};
    CREATE SCHEMA shut;
    CREATE TABLE shut.target (id int PRIMARY KEY, amount int);
    CREATE TABLE target (id int PRIMARY KEY, amount int);
    GRANT SELECT, INSERT (id, amount) ON target TO ${role};
    GRANT USAGE ON SCHEMA public TO ${role};
    DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$`);
  // Roles belong to the cluster and would outlive the test's database.
  await using _role = {
    [Symbol.asyncDispose]: async () =>
      void (await database.query(`RESET ROLE; DROP OWNED BY ${role}; DROP ROLE ${role}`)),
  };
  await database.query(`SET ROLE ${role}`);
  const declaration = declare({ id: 'int', amount: 'int' });
  assert.deepEqual(await codesOf(database, declaration), [['NO_TEMPORARY'], ['amount', 'NO_PRIVILEGE']]);
  const { problems } = await database.withTransaction(async (client) => inspectTarget(client, declaration));
  assert.match(problems[0]!.message, new RegExp(`GRANT TEMPORARY ON DATABASE \\w+ TO ${role}$`));
  assert.match(problems[1]!.message, new RegExp(`: GRANT SELECT, INSERT, UPDATE ON "public"."target" TO ${role}$`));
  assert.deepEqual(await codesOf(database, { ...declaration, table: { schema: 'shut', name: 'target' } }), [
    ['NO_TEMPORARY'],
    ['NO_PRIVILEGE'],
    ['id', 'NO_PRIVILEGE'],
    ['amount', 'NO_PRIVILEGE'],
  ]);
  for (const table of [
    { schema: 'public', name: 'other' },
    { schema: 'other', name: 'target' },
  ]) {
    assert.deepEqual(await codesOf(database, { ...declaration, table }), [['NO_TEMPORARY'], ['NO_PRIVILEGE']]);
  }
});
