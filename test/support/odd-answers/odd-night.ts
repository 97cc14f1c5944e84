import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { loadJob } from '../../../src/config/load-job.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { runJob } from '../../../src/library.ts';
import type { Report } from '../../../src/report/schema.ts';
import { NightfillError } from '../../../src/resilience/failure.ts';
import { Database } from '../../../src/sinks/postgres.ts';
import { RawServer, type RawRequest } from '../raw-server.ts';
import { answerBytes, type OddAnswer, type OddExchange } from './odd-answer.ts';

/** Contracts of a night, on three pages. */
export const contracts = 300;
/** At most so many requests arrive within any second. */
export const rate = { requests: 200, per: 1_000 };

/** Milliseconds of an attempt, where an answer never comes to its end. */
const impatience = 400;

/** What is answered oddly. */
export type Use =
  /** The lookups of these contracts, by number, always. */
  | { what: 'contracts'; odd: ReadonlyMap<number, OddAnswer> }
  /** The pages of the listing after the first, one answer each; `once`: and then as it should be. */
  | { what: 'listing'; odd: readonly OddAnswer[]; once: boolean }
  /** The token server; `once`: at one renewal each, and then as it should be; otherwise from the start. */
  | { what: 'token'; odd: readonly OddAnswer[]; once: boolean };

/** Of what a night threw in place of a report. */
export interface Thrown {
  code: string | null;
  message: string;
}

export interface OddNight {
  report?: Report;
  error?: Thrown;
  requests: readonly RawRequest[];
  /** Keys in the target. */
  rows: string[];
  /** Milliseconds. */
  took: number;
  /** The longest that the night's thread stood still: arrivals may be stamped late by that much. */
  stalledMs: number;
}

export const keyOf = (number: number): string => `k${String(number).padStart(3, '0')}`;
const recordOf = (number: number): object => ({ id: keyOf(number), name: 'odd', currency: 'EUR', amount: 12.25 });

/** Runs nights with the product, the server that answers oddly and a real Postgres, all in this thread. */
export class OddNights implements AsyncDisposable {
  readonly #database: Database;
  readonly #jobs: Record<Use['what'], Job>;
  readonly #foreign: RawServer;
  #nights = 0;

  private constructor(database: Database, jobs: Record<Use['what'], Job>, foreign: RawServer) {
    this.#database = database;
    this.#jobs = jobs;
    this.#foreign = foreign;
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
    return new OddNights(database, jobs, await RawServer.start(() => undefined));
  }

  /** Requests at a server that must not be asked. */
  get strayed(): number {
    return this.#foreign.requests.length;
  }

  /** A night against a server that answers oddly, and, where it is `mended`, the same night gone on with once it does not. */
  async run(
    use: Use,
    { finishInMs, mended = false }: { finishInMs?: number; mended?: boolean } = {},
  ): Promise<OddNight[]> {
    this.#nights += 1;
    const name = `odd_${this.#nights}`;
    const nights = [await this.#run(name, { use, finishInMs })];
    if (mended) nights.push(await this.#run(name, { use: { ...use, odd: [] } as Use, finishInMs: undefined }));
    return nights;
  }

  async #run(name: string, { use, finishInMs }: { use: Use; finishInMs: number | undefined }): Promise<OddNight> {
    await using server = await RawServer.start(new OddScript(use, this.#foreign.origin).answer);
    const begun = performance.now();
    const stalls = monitorEventLoopDelay({ resolution: 5 });
    stalls.enable();
    const odd = use.what === 'contracts' ? [...use.odd.values()] : use.odd;
    const timeout = odd.some(({ slow }) => slow) ? { timeout: impatience } : {};
    const job = jobAt(server.origin, name, { job: this.#jobs[use.what], api: timeout });
    const ended = await this.#outcome(job, finishInMs);
    const took = performance.now() - begun;
    // The histogram counts its own interval too.
    const stalledMs = Math.max(0, stalls.max / 1e6 - 5);
    const { rows } = await this.#database
      .query<{ id: string }>(`SELECT id FROM ${name} ORDER BY id`)
      .catch(() => ({ rows: [] }));
    return { ...ended, requests: server.requests, rows: rows.map(({ id }) => id), took, stalledMs };
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
    await this.#foreign[Symbol.asyncDispose]();
    await this.#database[Symbol.asyncDispose]();
  }
}

/** What a night's server answers to each request. */
class OddScript {
  readonly #use: Use;
  readonly #foreign: string;
  readonly #pages: number;
  /** Requests of each page, and of tokens. */
  readonly #asked = new Map<string, number>();

  constructor(use: Use, foreign: string) {
    this.#use = use;
    this.#foreign = foreign;
    // One good page before each odd answer, and one at the end.
    this.#pages = use.what === 'contracts' ? 3 : use.odd.length + 2;
  }

  answer = (request: Pick<RawRequest, 'url'>, socket: OddExchange['socket']): void | Promise<void> => {
    const { url } = request;
    const earlier = this.#asked.get(url) ?? 0;
    this.#asked.set(url, earlier + 1);
    const odd = this.#oddAnswerTo(url, earlier);
    const good = this.#goodAnswerTo(url);
    if (!odd) return void socket.write(answerBytes(200, { body: good, reason: 'OK' }));
    return odd.send({ socket, good, foreign: this.#foreign });
  };

  #oddAnswerTo(url: string, earlier: number): OddAnswer | undefined {
    const use = this.#use;
    if (use.what === 'contracts') return use.odd.get(Number(/^\/contracts\/k(\d+)$/.exec(url)?.[1] ?? 0));
    if (use.what === 'listing') return use.once && earlier > 0 ? undefined : use.odd[pageOf(url) - 2];
    if (url !== '/token') return undefined;
    // Renewals are good and odd in turn.
    return use.once ? (earlier % 2 === 1 ? use.odd[(earlier - 1) / 2] : undefined) : use.odd[0];
  }

  #goodAnswerTo(url: string): string {
    if (url === '/token') {
      const tokens = this.#asked.get(url)!;
      // A token that is to be renewed ends at once.
      const lasts = this.#use.what === 'token' && this.#use.once && tokens < 2 * this.#use.odd.length;
      return JSON.stringify({ access_token: `t${tokens}`, token_type: 'Bearer', expires_in: lasts ? 0.001 : 3_600 });
    }
    const page = pageOf(url);
    if (page === 0) return JSON.stringify(recordOf(Number(url.slice('/contracts/k'.length))));
    const first = Math.floor(((page - 1) * contracts) / this.#pages);
    const last = Math.floor((page * contracts) / this.#pages);
    const data = Array.from({ length: last - first }, (_, index) => recordOf(first + index + 1));
    return JSON.stringify({ data, next: page < this.#pages ? `p${page + 1}` : null });
  }
}

/** The page's number; 0 for what is none. */
const pageOf = (url: string): number => (url === '/contracts' ? 1 : Number(/after=p(\d+)/.exec(url)?.[1] ?? 0));

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
