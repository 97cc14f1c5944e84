import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createDatabase } from './database.ts';

test('each test has a database of its own, already migrated', async (t) => {
  const [one, two] = await Promise.all([createDatabase(t), createDatabase(t)]);
  await one.database.query('CREATE TABLE public.mine (id int)');
  const { rows } = await two.database.query<{ mine: string | null; chunk: string | null }>(
    `SELECT to_regclass('public.mine') AS mine, to_regclass('nightfill.chunk')::text AS chunk`,
  );
  assert.deepEqual(rows, [{ mine: null, chunk: 'nightfill.chunk' }]);
});

test('a test may ask for an empty database', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const { rows } = await database.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'nightfill'`);
  assert.deepEqual(rows, []);
});

test('a database is gone when its test has ended', async (t) => {
  const names: string[] = [];
  await t.test('inner', async (inner) => {
    names.push((await createDatabase(inner)).name);
  });
  const { database } = await createDatabase(t);
  const { rows } = await database.query('SELECT datname FROM pg_database WHERE datname = ANY ($1)', [names]);
  assert.deepEqual(rows, []);
  assert.equal(names.length, 1);
});
