import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { LeaseLostError } from '../../src/ledger/lease.ts';
import { RunLedger } from '../../src/ledger/run-ledger.ts';
import { createLog } from '../../src/observe/log.ts';
import { systemClock } from '../../src/resilience/clock.ts';
import { CommitInDoubtError, type Database, type Queryable } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';
import { faultyDatabase, type Fault } from '../support/faulty-database.ts';

const { database } = await createDatabase({ after });
const log = createLog({ level: 'silent', secrets: [] });

/** A run that holds the lease of a job of its own, over a database with one fault. */
async function heldBy(fault?: Fault, o: { once?: boolean } = {}) {
  const names = { job: randomUUID(), instance: randomUUID(), run: randomUUID(), token: randomUUID() };
  await database.query(
    `INSERT INTO nightfill.lease (job, token, run, host, process_id, process_born, renewed_at, expires_at)
     VALUES ($1, $2, $3, 'here', 1, '', now(), now() + interval '1 hour')`,
    [names.job, names.token, names.run],
  );
  const { signal } = new AbortController();
  const bounds = { clock: systemClock, log, signal, databaseWaitMs: 5_000, ...o };
  return new RunLedger({ ...names, ...bounds, database: faultyDatabase(database, fault) });
}

/** Something that stands in the database once for each time that it was written. */
const write = async (client: Queryable, origin: string): Promise<void> =>
  void (await client.query(`INSERT INTO nightfill.quota_use (origin, day, requests) VALUES ($1, current_date, 1)`, [
    `${origin} ${randomUUID()}`,
  ]));

const written = async (origin: string): Promise<number> =>
  (await database.query(`SELECT FROM nightfill.quota_use WHERE origin LIKE $1`, [`${origin} %`])).rowCount ?? 0;

test('what commits under the lease is tried again after a COMMIT that was lost, and measured each time', async () => {
  const ledger = await heldBy({ at: 1, kind: 'doubt-lost' });
  let attempts = 0;
  await ledger.commit(async (client) => write(client, ledger.job), {
    around: async (attempt) => {
      attempts += 1;
      return attempt();
    },
  });
  assert.deepEqual([attempts, await written(ledger.job)], [2, 1]);
});

test('a run that lost its lease commits nothing', async () => {
  const ledger = await heldBy();
  await database.query(`UPDATE nightfill.lease SET token = $1 WHERE job = $2`, [randomUUID(), ledger.job]);
  await assert.rejects(
    ledger.commit(async (client) => write(client, ledger.job)),
    LeaseLostError,
  );
  assert.equal(await written(ledger.job), 0);
});

test('a ledger that is to try once does so, and shares the numbers of chunks with the one it was made of', async () => {
  const ledger = await heldBy({ at: 1, kind: 'doubt-lost' });
  ledger.numbers.startAfter(6);
  assert.equal(ledger.numbers.nextCut(), 7);
  const once = ledger.with({ once: true });
  await assert.rejects(
    once.commit(async (client) => write(client, ledger.job)),
    CommitInDoubtError,
  );
  assert.equal(await written(ledger.job), 0);
  assert.deepEqual(once.numbers.cut, [7]);
});

test('a number is given back unless a later one was given meanwhile', async () => {
  const { numbers } = await heldBy();
  const [first, second] = [numbers.next(), numbers.next()];
  assert.deepEqual([first, second], [1, 2]);
  numbers.giveBack(first);
  assert.equal(numbers.next(), 3);
  numbers.giveBack(3);
  assert.equal(numbers.next(), 3);
});

test('what is read waits for a database that is away for a moment, and no longer than it is told to', async () => {
  let asked = 0;
  const away = { query: async () => Promise.reject(lostConnection()) } as unknown as Database;
  const back = {
    query: async (text: string) => {
      asked += 1;
      return asked < 2 ? Promise.reject(lostConnection()) : database.query(text);
    },
  } as unknown as Database;
  const names = { job: 'job', instance: '', run: '', token: '' };
  const bounds = { clock: systemClock, log, signal: new AbortController().signal };
  const patient = new RunLedger({ ...names, ...bounds, database: back, databaseWaitMs: 5_000 });
  assert.deepEqual((await patient.read(async (on) => on.query('SELECT 1 AS one'))).rows, [{ one: 1 }]);
  const impatient = new RunLedger({ ...names, ...bounds, database: away, databaseWaitMs: 1 });
  await assert.rejects(
    impatient.read(async (on) => on.query('SELECT 1')),
    { code: 'DATABASE_GONE' },
  );
});

const lostConnection = (): Error => new CommitInDoubtError(new Error('Connection terminated unexpectedly'));
