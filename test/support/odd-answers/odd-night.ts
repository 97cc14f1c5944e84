import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadJob } from '../../../src/config/load-job.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { runJob } from '../../../src/library.ts';
import type { Report } from '../../../src/report/schema.ts';
import { NightfillError } from '../../../src/resilience/failure.ts';
import { Database } from '../../../src/sinks/postgres/postgres.ts';
import { contracts, oddAnswer, type Use } from './odd-script.ts';
import { OddServers, type Seen } from './odd-server.ts';

/** At most so many requests arrive within any second. */
export const rate = { requests: 200, per: 1_000 };

/** Milliseconds of an attempt, where an answer never comes to its end. */
const impatience = 400;

/** Of what a night threw in place of a report. */
export interface Thrown {
  code: string | null;
  message: string;
}

export interface OddNight extends Seen {
  report?: Report;
  error?: Thrown;
  /** Keys in the target. */
  rows: string[];
  /** Milliseconds. */
  took: number;
}

export interface NightOptions {
  /** Milliseconds until the deadline. */
  finishInMs?: number;
  /** Afterwards the same night is run once more, against a server that answers as it should. */
  mended?: boolean;
}

/** Runs nights with the product, servers that answer oddly and a real Postgres. */
export class OddNights implements AsyncDisposable {
  readonly #database: Database;
  readonly #servers: OddServers;
  readonly #jobs: Record<Use['what'], Job>;
  #nights = 0;

  private constructor(database: Database, servers: OddServers, jobs: Record<Use['what'], Job>) {
    this.#database = database;
    this.#servers = servers;
    this.#jobs = jobs;
  }

  static async open(connectionString: string): Promise<OddNights> {
    const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-odd-'));
    const load = async (job: object): Promise<Job> => {
      const file = path.join(folder, 'job.yaml');
      await writeFile(file, JSON.stringify(job));
      return loadJob(file, { environment: { CRM_TOKEN: 'token', SECRET: 'secret' } });
    };
    const jobs = {
      contracts: await load(jobFile('contract')),
      listing: await load(jobFile('listed')),
      token: await load(jobFile('listed', oauth)),
    };
    await rm(folder, { recursive: true });
    const database = await Database.open({ config: { connectionString }, description: 'the database of odd nights' });
    return new OddNights(database, await OddServers.open(), jobs);
  }

  /** The night, and where it is `mended` the one after it. */
  async run(use: Use, { finishInMs, mended = false }: NightOptions = {}): Promise<OddNight[]> {
    this.#nights += 1;
    const name = `odd_${this.#nights}`;
    const nights = [await this.#run(name, { use, finishInMs })];
    if (mended) nights.push(await this.#run(name, { use: { ...use, odd: [] }, finishInMs: undefined }));
    return nights;
  }

  async #run(name: string, { use, finishInMs }: { use: Use; finishInMs: number | undefined }): Promise<OddNight> {
    const server = await this.#servers.start(use);
    const names = use.what === 'contracts' ? use.odd.map(([answer]) => answer) : use.odd;
    const timeout = names.some((answer) => oddAnswer(answer).slow) ? { timeout: impatience } : {};
    const job = jobAt(server.origin, name, { job: this.#jobs[use.what], api: timeout });
    const begun = performance.now();
    const ended = await this.#outcome(job, finishInMs);
    const took = performance.now() - begun;
    const seen = await server.seen();
    const { rows } = await this.#database
      .query<{ id: string }>(`SELECT id FROM ${name} ORDER BY id`)
      .catch(() => ({ rows: [] }));
    return { ...ended, ...seen, rows: rows.map(({ id }) => id), took };
  }

  async #outcome(job: Job, finishInMs: number | undefined): Promise<{ report: Report } | { error: Thrown }> {
    const finishBy = finishInMs === undefined ? {} : { finishBy: new Date(Date.now() + finishInMs) };
    try {
      const result = await runJob(job, { database: this.#database, ...finishBy });
      assert('report' in result, 'there was a night to run');
      return { report: result.report };
    } catch (error) {
      const code = error instanceof NightfillError ? error.code : null;
      return { error: { code, message: error instanceof Error ? error.message : String(error) } };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers[Symbol.asyncDispose]();
    await this.#database[Symbol.asyncDispose]();
  }
}

const oauth = {
  type: 'oauth2',
  tokenUrl: 'http://127.0.0.1:1/token',
  clientId: 'odd',
  clientSecret: { env: 'SECRET' },
};

function jobFile(from: 'contract' | 'listed', auth: object = { type: 'bearer', token: { env: 'CRM_TOKEN' } }): object {
  return {
    name: 'odd',
    apis: {
      crm: {
        type: 'rest',
        baseUrl: 'http://127.0.0.1:1',
        auth,
        limits: { concurrency: 20, ...(from === 'contract' && { rates: [{ requests: rate.requests, per: '1s' }] }) },
        timeout: '5s',
        retry: { attempts: 3, baseDelay: '5ms', maxDelay: '100ms', maxElapsed: '10s' },
        breaker: { openFor: '50ms' },
        maxResponse: '2MB',
      },
    },
    contracts: {
      api: 'crm',
      path: '/contracts',
      records: 'data',
      key: 'id',
      paginate: { type: 'cursor', next: 'next', param: 'after' },
    },
    ...(from === 'contract' && { lookups: { contract: { api: 'crm', path: '/contracts/{key}' } } }),
    load: {
      table: 'odd',
      key: ['id'],
      columns: {
        id: { from: `${from}.id`, type: 'text' },
        name: { from: `${from}.name`, type: 'text' },
        currency: { from: `${from}.currency`, type: 'char(3)' },
        amount: { from: `${from}.amount`, type: 'numeric(12,2)' },
      },
    },
    controls: [{ sum: 'amount', by: 'currency' }],
    chunk: { size: contracts / 3 },
  };
}

function jobAt(origin: string, name: string, { job, api }: { job: Job; api: { timeout?: number } }): Job {
  const crm = job.apis['crm']!;
  const auth = crm.auth.type === 'oauth2' ? { ...crm.auth, tokenUrl: `${origin}/token` } : crm.auth;
  return {
    ...job,
    name,
    apis: { crm: { ...crm, ...api, baseUrl: origin, auth } },
    load: { ...job.load, table: { ...job.load.table, name } },
  };
}
