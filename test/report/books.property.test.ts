import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { loadJob } from '../../src/config/load-job.ts';
import { findRun } from '../../src/ledger/find-run.ts';
import type { Job } from '../../src/jobs/job.ts';
import type { RunOptions } from '../../src/jobs/run/prepared-run.ts';
import { rerunJob, runJob, type RunResult } from '../../src/jobs/run/run.ts';
import { createLog } from '../../src/observe/log.ts';
import type { Report } from '../../src/report/schema.ts';
import { systemClock, type Clock } from '../../src/resilience/clock.ts';
import type { Database } from '../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../support/database.ts';
import { faultyDatabase, KilledError, type Fault } from '../support/faulty-database.ts';
import { repeats } from '../support/long.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

/*
 * Random histories of a job against real Postgres: nights that list, fail, are killed between any two transactions, lose
 * the answer to any COMMIT, are continued and rerun, with contracts that share a row of the target. Whatever happens, the
 * books balance, and what they say is what stands in the target.
 */

/** At length it takes some minutes. */
const histories = repeats(8, 400);

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const amounts = ['1.00', '2.50', '-3.25', '1000000000000.01', ' 7 ', '1.001', 'NaN', 'many', undefined, null];

interface Contract {
  id: string;
  /** The load key: contracts with one row share it. */
  row: string;
  currency: string | undefined;
  amount: string | null | undefined;
}

const contract = (id: string): fc.Arbitrary<Contract> =>
  fc.record({
    id: fc.constant(id),
    row: fc.oneof({ weight: 8, arbitrary: fc.constant(id) }, { weight: 1, arbitrary: fc.constantFrom('a', 'A', 'x') }),
    currency: fc.constantFrom('EUR', 'USD', 'EU ', undefined),
    amount: fc.constantFrom(...amounts, ...amounts.slice(0, 3), ...amounts.slice(0, 3)),
  });

interface Step {
  /** A night lists anew; the other steps go on with the last one. */
  what: 'night' | 'run' | 'rerun' | 'whole-chunks' | 'again';
  listed: Contract[];
  /** Rows that a trigger of the target refuses for now. */
  refused: string[];
  fault: Fault | undefined;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('night', 'night', 'run', 'rerun', 'whole-chunks', 'again'),
  listed: fc.tuple(...names.map(contract)).chain((all) => fc.subarray([...all, ...all.slice(0, 2)])),
  refused: fc.subarray(names, { maxLength: 2 }),
  fault: fc.option(
    fc.record({
      at: fc.integer({ min: 1, max: 14 }),
      kind: fc.constantFrom('killed-before', 'killed-after', 'doubt-lost', 'doubt-committed'),
    }),
    { nil: undefined },
  ),
});

/** Pauses before a statement is repeated are passed over; heartbeats keep their time. */
const hasty: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => systemClock.sleep(ms < 1_000 ? 0 : ms, signal),
};

const target = `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  CREATE TABLE target (row text COLLATE nocase PRIMARY KEY, contract text, currency char(3), amount numeric(18,2));
  CREATE TABLE refused (row text PRIMARY KEY);
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF EXISTS (SELECT FROM refused WHERE row = new.row) THEN RAISE check_violation; END IF; RETURN new; END $$;
  CREATE TRIGGER refuse BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION refuse()`;

/** Of a few rows: to truncate as many tables costs twenty times as much. */
const forget = `DELETE FROM target; DELETE FROM nightfill.instance; DELETE FROM nightfill.lease`;

describe('the books of a job, whatever befalls its nights,', { concurrency: true }, () => {
  for (const commit of ['chunk', 'run'] as const) {
    test(`balance and tell what the target holds, with commit: ${commit}`, async (t) => {
      const { database } = await createDatabase(t);
      await database.query(target);
      let listed: Contract[] = [];
      const server = await ScriptedServer.start(() => ({ json: listed }));
      t.after(async () => server[Symbol.asyncDispose]());
      const job = await jobOf(server.origin, commit);

      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
          await database.query(forget);
          const history = new History(database, job);
          for (const [index, one] of steps.entries()) {
            if (one.what === 'night' || index === 0) listed = one.listed;
            await database.query(`DELETE FROM refused`);
            await database.query(`INSERT INTO refused SELECT * FROM unnest($1::text[])`, [one.refused]);
            await history.step(index === 0 ? { ...one, what: 'night' } : one, listed);
          }
          // Whoever was killed last: the same command continues from there, and its books are true as well.
          await database.query(`DELETE FROM refused`);
          await history.step({ what: 'run', listed, refused: [], fault: undefined }, listed);
        }),
        { numRuns: histories },
      );
    });
  }
});

class History {
  readonly #database: Database;
  readonly #job: Job;
  readonly #listed = new Map<string, readonly Contract[]>();
  #night = 0;

  constructor(database: Database, job: Job) {
    this.#database = database;
    this.#job = job;
  }

  async step({ what, fault }: Step, listed: readonly Contract[]): Promise<void> {
    const database = faultyDatabase(this.#database, fault);
    if (what === 'night') this.#night += 1;
    const options: RunOptions = { ...given, database };
    const businessDate = new Date(Date.UTC(2026, 0, this.#night)).toISOString().slice(0, 10);
    this.#listed.set(businessDate, listed);
    const before = await this.#database.query('SELECT * FROM target ORDER BY row');
    let result: RunResult;
    try {
      result =
        what === 'rerun' || what === 'whole-chunks'
          ? await rerunJob(this.#job, {
              ...options,
              of: await findRun(this.#database, { run: 'latest' }),
              selection: { wholeChunks: what === 'whole-chunks' },
            })
          : await runJob(this.#job, { ...options, businessDate, again: what === 'again' });
    } catch (error) {
      // Died, was refused, or broke off before it did anything: nothing is said that could be wrong.
      if (error instanceof KilledError || isRefusal(error)) return;
      throw error;
    } finally {
      // What a dead process leaves behind; a living one has given it back.
      await this.#database.query('DELETE FROM nightfill.lease');
    }
    if ('nothingToDo' in result) {
      assert.deepEqual((await this.#database.query('SELECT * FROM target ORDER BY row')).rows, before.rows);
      return;
    }
    await this.#assertTrue(result.report);
  }

  /** Held against the source and the target themselves, and not against the ledger. */
  async #assertTrue({ run, counts, amounts: told, controls, failures, attempts, chunks }: Report) {
    const listed = this.#listed.get(run.businessDate)!;
    const faults = controls.find(({ name }) => name === 'faults in the books of the night');
    assert.equal(faults?.result, 'pass', run.reason ?? '');
    for (const { type, result, severity, name, expected, actual } of controls)
      if (severity === 'fail' && type !== 'listed' && type !== 'completeness')
        assert.notEqual(result, 'fail', `${name}: ${expected}, ${actual}`);
    const wholeListing = run.reason === null || !/listing/.test(run.reason);
    const planned = await this.#database.query<{ key: string }>(
      'SELECT key FROM nightfill.contract JOIN nightfill.run USING (instance) WHERE id = $1',
      [run.id],
    );
    if (wholeListing) assert.equal(counts.listed, planned.rows.length);
    assert.equal(counts.enriched + counts.degraded + counts.failed + counts.notStarted, counts.listed);
    assert.equal(failures.length, counts.failed);
    for (const figure of [...attempts.map(({ loaded }) => loaded), ...chunks.map(({ failed }) => failed)])
      assert(figure >= 0);
    const lost = new Set(failures.map(({ key }) => key));
    const loaded = planned.rows.map(({ key }) => key).filter((key) => !lost.has(key));
    if (counts.staged === undefined && counts.notStarted === 0) {
      // Each contract that is counted as loaded stands in its own row of the target, with the source's very amount.
      const said = new Map(listed.toReversed().map((one) => [one.id, one]));
      const { rows } = await this.#database.query<{ currency: string | null; amount: string | null }>(
        `SELECT currency::text AS currency, amount::text AS amount FROM target
         JOIN unnest($1::text[], $2::text[]) AS loaded (contract, row) ON target.row = loaded.row AND target.contract = loaded.contract`,
        [loaded, loaded.map((key) => said.get(key)!.row)],
      );
      assert.equal(rows.length, loaded.length);
      const total = new Map<string | null, number>();
      for (const { currency, amount } of rows)
        total.set(currency, (total.get(currency) ?? 0) + Math.round(Number(amount ?? 0) * 100));
      for (const { currency, loaded: sum } of told)
        assert.equal(Math.round(Number(sum) * 100), total.get(currency) ?? 0, `${currency} in the target`);
    }
    for (const { variance } of told) assert.equal(Number(variance), 0);
    const complete = counts.failed === 0 && counts.notStarted === 0 && counts.staged === undefined;
    if (run.exitCode === 0) assert(complete && counts.listed > 0, 'exit 0 of a night that is not whole');
    if (complete && wholeListing) assert.equal(counts.listed, new Set(listed.map(({ id }) => id)).size);
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof Error &&
  ['NO_PLAN', 'PLAN_REPLACED', 'USAGE', 'COMMIT_IN_DOUBT'].includes((error as { code?: string }).code ?? '');

const given: Omit<RunOptions, 'database'> = {
  trigger: 'manual',
  ifRunning: 'fail',
  version: '0.0.0',
  log: createLog({ level: 'silent', secrets: [] }),
  clock: hasty,
  databaseWaitMs: 120_000,
  stopping: new AbortController().signal,
  signal: new AbortController().signal,
};

async function jobOf(origin: string, commit: string): Promise<Job> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-books-'));
  const column = (from: string, type: string, more = {}) => ({ from: `listed.${from}`, type, ...more });
  await writeFile(
    path.join(folder, 'job.yaml'),
    JSON.stringify({
      name: 'books',
      apis: { crm: { type: 'rest', baseUrl: origin } },
      contracts: { api: 'crm', path: '/', key: 'id' },
      load: {
        table: 'target',
        key: ['row'],
        columns: {
          row: column('row', 'text'),
          contract: column('id', 'text'),
          currency: column('currency', 'char(3)', { default: null }),
          amount: column('amount', 'numeric(18,2)'),
        },
      },
      controls: [{ sum: 'amount', by: 'currency' }, { completeness: '50%' }],
      chunk: { size: 3 },
      failures: { stopAbove: '100%' },
      commit,
    }),
  );
  try {
    return await loadJob(path.join(folder, 'job.yaml'), { environment: {} });
  } finally {
    await rm(folder, { recursive: true });
  }
}
