import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../src/resilience/failure.ts';
import type { Database } from '../../../src/sinks/postgres/postgres.ts';
import { inspectTarget, prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { requireLoadable, tryLoad } from '../../../src/sinks/target/try-load.ts';
import { declare, openDatabase } from '../../support/load-fixture.ts';

const declared = declare({ id: 'int', amount: 'numeric(18,2)' });

const tried = async (database: Database, declaration = declared) =>
  database.withTransaction(async (client) => {
    const { table, exists, problems } = await inspectTarget(client, declaration);
    assert.deepEqual(problems, []);
    return tryLoad(client, { table: table!, exists });
  });

test('grants on single columns pass every look at the catalog and fail the trial, which says the GRANT that mends it', async () => {
  const database = await openDatabase();
  const role = `trial_${process.pid}`;
  await database.query(`
    CREATE ROLE ${role};
    GRANT USAGE ON SCHEMA public TO ${role};
    CREATE TABLE target (id int PRIMARY KEY, amount numeric(18,2));
    GRANT SELECT (id, amount), INSERT (id, amount), UPDATE (amount) ON target TO ${role}`);
  // Roles belong to the cluster and would outlive the test's database.
  await using _role = {
    [Symbol.asyncDispose]: async () =>
      void (await database.query(`RESET ROLE; DROP OWNED BY ${role}; DROP ROLE ${role}`)),
  };
  await database.query(`SET ROLE ${role}`);
  const refused = await tried(database);
  const grant = `GRANT SELECT, INSERT, UPDATE ON "public"."target" TO ${role}`;
  assert.match(refused!.message, /permission denied for table target/);
  assert.ok(refused!.message.includes(grant), refused!.message);
  await assert.rejects(
    database.withTransaction(async (client) => requireLoadable(client, await prepareTarget(client, declared))),
    (error) => error instanceof UsageError && error.message.includes(grant),
  );
  await database.query(`RESET ROLE; ${grant}; SET ROLE ${role}`);
  assert.equal(await tried(database), undefined);
});

test('what a trigger of the statement refuses is seen too, and nothing stays of the trial', async () => {
  const database = await openDatabase();
  assert.equal(await tried(database), undefined, 'a table that would be made');
  assert.equal((await database.query(`SELECT FROM pg_class WHERE relname = 'target'`)).rowCount, 0);
  await database.query(`
    CREATE TABLE target (id int PRIMARY KEY, amount numeric(18,2));
    CREATE TABLE seen (at timestamptz);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (now()); RETURN NULL; END';
    CREATE TRIGGER see AFTER INSERT ON target EXECUTE FUNCTION see()`);
  assert.equal(await tried(database), undefined);
  assert.equal((await database.query('SELECT FROM seen')).rowCount, 0);
  await database.query(`DROP TABLE seen`);
  assert.match((await tried(database))!.message, /relation "seen" does not exist/);
});

test('a lock that others hold for a while keeps no run from starting', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id int PRIMARY KEY, amount numeric(18,2));
    CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE lock_not_available; END $$;
    CREATE TRIGGER busy BEFORE INSERT ON target EXECUTE FUNCTION busy()`);
  await database.withTransaction(async (client) => requireLoadable(client, await prepareTarget(client, declared)));
  assert.equal((await tried(database))?.isRetryable, true);
});
