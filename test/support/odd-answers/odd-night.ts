import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadJob } from '../../../src/config/load-job.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { runJob } from '../../../src/library.ts';
import type { Report } from '../../../src/report/schema.ts';
import type { Database } from '../../../src/sinks/postgres.ts';
import { RawServer, type RawRequest } from '../raw-server.ts';
import { answerBytes, type OddAnswer } from './odd-answer.ts';

/** Contracts of a night, on three pages. */
export const contracts = 300;
const perPage = contracts / 3;
/** At most so many requests arrive within any second. */
export const rate = { requests: 200, per: 1_000 };

/** What is answered oddly. */
export type Use =
  /** The lookups of these contracts, by number, always. */
  | { what: 'contracts'; odd: ReadonlyMap<number, OddAnswer> }
  /** The second page of the listing, so many times. */
  | { what: 'listing'; odd: OddAnswer; times: number }
  /** The token server: at the renewal, once; or from the start, always. */
  | { what: 'token'; odd: OddAnswer; times: number };

export interface OddNight {
  report?: Report;
  /** What runJob threw instead of giving a report. */
  error?: unknown;
  requests: readonly RawRequest[];
  /** Keys in the target. */
  rows: string[];
}

const keyOf = (number: number): string => `k${String(number).padStart(3, '0')}`;
const recordOf = (number: number): object => ({ id: keyOf(number), name: 'odd', currency: 'EUR', amount: 12.25 });

/** Runs one night with everything in this process: the product, the server that answers oddly, the checks of both. */
export class OddNights implements AsyncDisposable {
  readonly #database: Database;
  readonly #jobs: { lookups: Job; none: Job; oauth: Job };
  readonly #foreign: RawServer;
  #nights = 0;

  private constructor(database: Database, jobs: { lookups: Job; none: Job; oauth: Job }, foreign: RawServer) {
    this.#database = database;
    this.#jobs = jobs;
    this.#foreign = foreign;
  }

  static async open(database: Database): Promise<OddNights> {
    const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-odd-'));
    const load = async (job: object): Promise<Job> => {
      const file = path.join(folder, 'job.yaml');
      await writeFile(file, JSON.stringify(job));
      return loadJob(file, { environment: { CRM_TOKEN: 'token', SECRET: 'secret' } });
    };
    const jobs = {
      lookups: await load(jobFile('contract')),
      none: await load(jobFile('listed')),
      oauth: await load(jobFile('listed', oauth)),
    };
    await rm(folder, { recursive: true });
    return new OddNights(database, jobs, await RawServer.start(() => undefined));
  }

  /** Nobody was sent where credentials must not go. */
  assertNothingForeign(): void {
    assert.deepEqual(this.#foreign.requests, []);
  }

  async run(use: Use, { finishBy }: { finishBy?: Date } = {}): Promise<OddNight> {
    this.#nights += 1;
    const name = `odd_${this.#nights}`;
    await using server = await RawServer.start(this.#script(use));
    const job = jobAt(server.origin, name, this.#jobs[jobOf[use.what]]);
    return await this.#outcome(job, server, finishBy);
  }

  /** Runs the job again against a server that is well, as the next night or an engineer would. */
  async runAgain(night: { job: Job }): Promise<Report> {
    await using server = await RawServer.start(this.#script({ what: 'contracts', odd: new Map() }));
    const { report } = await this.#outcome(jobAt(server.origin, night.job.name, night.job), server);
    assert(report);
    return report;
  }

  async #outcome(job: Job, server: RawServer, finishBy?: Date): Promise<OddNight & { job: Job }> {
    const night: OddNight & { job: Job } = { requests: server.requests, rows: [], job };
    try {
      const result = await runJob(job, { database: this.#database, ...(finishBy && { finishBy }) });
      assert('report' in result, 'there was a night to run');
      night.report = result.report;
    } catch (error) {
      night.error = error;
    }
    const found = await this.#database.query<{ here: boolean }>(`SELECT to_regclass($1) IS NOT NULL AS here`, [job.name]);
    if (!found.rows[0]!.here) return night;
    const { rows } = await this.#database.query<{ id: string }>(`SELECT id FROM ${job.name} ORDER BY id`);
    night.rows = rows.map(({ id }) => id);
    return night;
  }

  #script(use: Use): (request: RawRequest, socket: Parameters<OddAnswer['send']>[0]['socket']) => void | Promise<void> {
    let odd = 0;
    let tokens = 0;
    return ({ url }, socket) => {
      const page = url === '/contracts' ? 1 : Number(/after=p(\d)/.exec(url)?.[1] ?? 0);
      const number = Number(/^\/contracts\/k(\d+)$/.exec(url)?.[1] ?? 0);
      const isToken = url === '/token';
      if (isToken) tokens += 1;
      // The first token ends at once, so that the second one is a renewal.
      const lifetime = use.what === 'token' && use.times === 1 && tokens === 1 ? 0.001 : 3_600;
      const good = isToken
        ? JSON.stringify({ access_token: `t${tokens}`, token_type: 'Bearer', expires_in: lifetime })
        : JSON.stringify(page > 0 ? pageOf(page) : recordOf(number));
      const answer =
        use.what === 'contracts'
          ? use.odd.get(number)
          : (use.what === 'listing' ? page === 2 : isToken && (use.times > 1 || tokens > 1)) && odd < use.times
            ? use.odd
            : undefined;
      if (!answer) return void socket.write(answerBytes(200, { body: good, reason: 'OK' }));
      odd += 1;
      return answer.send({ socket, good, foreign: this.#foreign.origin });
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#foreign[Symbol.asyncDispose]();
  }
}

const jobOf = { contracts: 'lookups', listing: 'none', token: 'oauth' } as const;

const oauth = {
  type: 'oauth2',
  tokenUrl: 'http://127.0.0.1:1/token',
  clientId: 'odd',
  clientSecret: { env: 'SECRET' },
};

function pageOf(page: number): object {
  const data = Array.from({ length: perPage }, (_, index) => recordOf((page - 1) * perPage + index + 1));
  return { data, next: page < 3 ? `p${page + 1}` : null };
}

function jobFile(from: 'contract' | 'listed', auth: object = { type: 'bearer', token: { env: 'CRM_TOKEN' } }): object {
  return {
    name: 'odd',
    apis: {
      crm: {
        type: 'rest',
        baseUrl: 'http://127.0.0.1:1',
        auth,
        limits: { concurrency: 20, ...(from === 'contract' && { rates: [{ requests: rate.requests, per: '1s' }] }) },
        timeout: '300ms',
        retry: { attempts: 3, baseDelay: '5ms', maxDelay: '20ms', maxElapsed: '10s' },
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
    chunk: { size: perPage },
  };
}

function jobAt(origin: string, name: string, job: Job): Job {
  const crm = job.apis['crm']!;
  const auth = crm.auth.type === 'oauth2' ? { ...crm.auth, tokenUrl: `${origin}/token` } : crm.auth;
  return {
    ...job,
    name,
    apis: { crm: { ...crm, baseUrl: origin, auth } },
    load: { ...job.load, table: { ...job.load.table, name } },
  };
}
