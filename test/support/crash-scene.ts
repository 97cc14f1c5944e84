import assert from 'node:assert/strict';
import type { Report } from '../../src/report/schema.ts';
import { createDatabase, type Lifetime, type TestDatabase } from './database.ts';
import { assertAllPass, startNight, until, type Ended, type Night, type RunningProcess } from './night.ts';
import { scriptedJob, scriptedToken } from './scripted-job.ts';
import { ScriptedServer } from './scripted-server.ts';
import { startTcpProxy, type TcpProxy, type Trap } from './tcp-proxy.ts';

const total = 40;
const pageSize = 10;
export const chunkSize = 5;

const keys = Array.from({ length: total }, (_, index) => `c${String(index).padStart(2, '0')}`);

/** The names are so long that a chunk is copied in more than one piece. */
const contractOf = (key: string) => {
  const number = Number(key.slice(1));
  const currency = ['EUR', 'USD', 'GBP'][number % 3];
  return { id: key, name: `${key} `.repeat(8_000), currency, amount: number + 0.25 };
};

/** What the night left, as far as it does not depend on how often it was killed. */
export interface Outcome {
  rows: object[];
  counts: Report['counts'];
  amounts: Report['amounts'];
  controls: Report['controls'];
  chunks: object[];
}

/** A night of 40 contracts whose way to Postgres leads through a proxy, and whose source counts what it is asked. */
export class CrashScene {
  readonly server: ScriptedServer;
  readonly proxy: TcpProxy;
  readonly night: Night;
  readonly #database: TestDatabase;
  readonly #answers: { status: Map<string, number[]>; hang: ((url: string) => boolean) | undefined };
  #hanging = Promise.withResolvers<void>();

  private constructor(o: Pick<CrashScene, 'server' | 'proxy' | 'night'> & { database: TestDatabase } & Answers) {
    this.server = o.server;
    this.proxy = o.proxy;
    this.night = o.night;
    this.#database = o.database;
    this.#answers = o.answers;
  }

  static async start(t: Lifetime, { job = {}, cluster }: { job?: object; cluster?: string } = {}): Promise<CrashScene> {
    const answers: Answers['answers'] = { status: new Map(), hang: undefined };
    const scene: { made?: CrashScene } = {};
    const server = await ScriptedServer.start(({ url }) => {
      if (answers.hang?.(url)) {
        scene.made!.#hanging.resolve();
        return undefined;
      }
      const key = /^\/contracts\/([^?]+)/.exec(url)?.[1];
      if (key === undefined) return { json: pageAt(url) };
      const status = answers.status.get(key)?.shift() ?? 200;
      return status === 200 ? { json: contractOf(key) } : { status, json: {} };
    });
    t.after(async () => server[Symbol.asyncDispose]());
    const database = await createDatabase(t, { template: 'empty', ...(cluster && { cluster }) });
    const proxy = await startTcpProxy(database.url);
    t.after(async () => proxy[Symbol.asyncDispose]());
    const night = await startNight(t, {
      databaseUrl: proxy.url,
      environment: { CRM_TOKEN: scriptedToken },
      secrets: [scriptedToken],
    });
    await night.write('job.yaml', { ...jobFor(server.origin), ...job });
    scene.made = new CrashScene({ server, proxy, night, database, answers });
    return scene.made;
  }

  /** The command, which is the same each time; its paths are absolute, so that it can also be run in this process. */
  command(name: 'run' | 'rerun'): string[] {
    const report = ['--report', 'report.json'];
    return name === 'run' ? ['run', 'job.yaml', ...report] : ['rerun', 'latest', ...report];
  }

  /** The next answers for a key have these statuses; then it is served. */
  answer(key: string, ...statuses: number[]): void {
    this.#answers.status.set(key, statuses);
  }

  /** Resolves when a request comes that `matches`; it is never answered. */
  async hangAt(matches: (url: string) => boolean): Promise<void> {
    this.#hanging = Promise.withResolvers();
    this.#answers.hang = matches;
    return this.#hanging.promise;
  }

  /** Starts the command and kills it at the moment; nothing of it is left at the server then, unless `halfOpen`. */
  async killAt<T>(moment: Promise<T>, o: { command?: 'run' | 'rerun'; halfOpen?: boolean } = {}): Promise<T> {
    const running = this.night.startProcess(...this.command(o.command ?? 'run'));
    const reached = await Promise.race([moment, tooSoon(running)]);
    await this.kill(running, o);
    return reached;
  }

  async kill(running: RunningProcess, { halfOpen = false }: { halfOpen?: boolean } = {}): Promise<void> {
    running.process.kill('SIGKILL');
    assert.equal((await running.ended).signal, 'SIGKILL');
    this.#answers.hang = undefined;
    if (halfOpen) return;
    await until(() => this.proxy.atServer() === 0, new Promise(() => {}));
  }

  /** Past the proxy. */
  async query<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#database.database.query<Row>(sql, values)).rows;
  }

  /** The keys that need not be asked for any more. */
  async committedKeys(): Promise<string[]> {
    const [made] = await this.query<{ made: boolean }>(`SELECT to_regclass('nightfill.failure') IS NOT NULL AS made`);
    if (!made?.made) return [];
    const rows = await this.query<{ key: string }>(
      `SELECT key FROM nightfill.contract JOIN nightfill.chunk ON chunk.instance = contract.instance AND number = chunk
       WHERE status <> 'not-started'
         AND NOT EXISTS (SELECT FROM nightfill.failure AS f WHERE f.instance = contract.instance AND f.key = contract.key)
       ORDER BY 1`,
    );
    return rows.map(({ key }) => key);
  }

  async listingIsStored(): Promise<boolean> {
    const [made] = await this.query<{ made: boolean }>(`SELECT to_regclass('nightfill.instance') IS NOT NULL AS made`);
    if (!made?.made) return false;
    return (await this.query(`SELECT FROM nightfill.instance WHERE status <> 'planning'`)).length === 1;
  }

  /** Runs the command again, to its end, and holds what it asked for against what the dead run had committed. */
  async finish(command: 'run' | 'rerun' = 'run'): Promise<Omit<Ended, 'signal'>> {
    const [committed, listed] = [await this.committedKeys(), await this.listingIsStored()];
    this.server.requests.length = 0;
    const ended = await this.night.nightfill(...this.command(command));
    assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
    this.assertAsked(
      keys.filter((key) => !committed.includes(key)),
      { listing: !listed },
    );
    return ended;
  }

  /** Of this, nothing was asked for. */
  assertNotAsked(committed: readonly string[]): void {
    const asked = this.server.requests.map(({ url }) => url.slice('/contracts/'.length));
    assert.deepEqual(
      asked.filter((key) => committed.includes(key)),
      [],
    );
  }

  /** Each of these contracts was asked for once, no other, and the pages of the listing once or not at all. */
  assertAsked(expected: readonly string[], { listing }: { listing: boolean }): void {
    const asked = this.server.requests.map(({ url }) => url);
    const lookups = asked.filter((url) => url.startsWith('/contracts/')).map((url) => url.slice('/contracts/'.length));
    assert.deepEqual(lookups.toSorted(), expected);
    const pages = asked.filter((url) => !url.startsWith('/contracts/'));
    assert.equal(pages.length, listing ? total / pageSize : 0, `pages of the listing: ${pages.join(', ')}`);
  }

  /** The ledger ties out whatever happened on the way; gives what is compared with an undisturbed night. */
  async outcome(): Promise<Outcome> {
    const report = await this.night.report('report.json');
    const rows = await this.query('SELECT id, md5(name) AS name, currency, amount FROM contracts ORDER BY id');
    assert.equal(report.run.exitCode, 0);
    assertAllPass(report.controls);
    assert.deepEqual(await this.query('SELECT status, listed, duplicates FROM nightfill.instance'), [
      { status: 'complete', listed: total, duplicates: 0 },
    ]);
    for (const [what, sql] of Object.entries(neverFound)) assert.deepEqual(await this.query(sql), [], what);
    const { counts, amounts, controls } = report;
    const chunks = report.chunks.map(({ number, status, contracts }) => ({ number, status, contracts }));
    return { rows, counts, amounts, controls, chunks };
  }

  async attempts(): Promise<string[]> {
    const { attempts } = await this.night.report('report.json');
    return attempts.map(({ mode, status }) => `${mode} ${status}`);
  }
}

interface Answers {
  answers: { status: Map<string, number[]>; hang: ((url: string) => boolean) | undefined };
}

/** Statements that give a row only where the ledger is wrong. */
const neverFound = {
  'a chunk whose attempts are not numbered from 1': `
    SELECT chunk.number FROM nightfill.chunk LEFT JOIN nightfill.chunk_attempt AS a ON a.instance = chunk.instance AND a.chunk = number
    GROUP BY chunk.instance, number, attempts HAVING count(attempt) <> attempts OR max(attempt) <> attempts`,
  'a contract loaded by two attempts, or by none': `
    SELECT chunk.number FROM nightfill.chunk JOIN nightfill.chunk_attempt AS a ON a.instance = chunk.instance AND a.chunk = number
    GROUP BY chunk.instance, number, chunk.contracts HAVING sum(a.enriched + a.degraded) <> chunk.contracts`,
  'a chunk with other contracts than it says': `
    SELECT number FROM nightfill.chunk WHERE contracts <>
      (SELECT count(*) FROM nightfill.contract WHERE contract.instance = chunk.instance AND chunk = number)`,
  'a currency whose sum in the ledger is not that of the target': `
    SELECT currency FROM (SELECT currency, sum(loaded) AS amount FROM nightfill.chunk_amount GROUP BY 1) AS ledger
    FULL JOIN (SELECT currency::text, sum(amount) AS amount FROM contracts GROUP BY 1) AS target USING (currency)
    WHERE ledger.amount IS DISTINCT FROM target.amount`,
  'a failure that is none any more': 'SELECT key FROM nightfill.failure',
  'a run that is not closed': `SELECT id FROM nightfill.run WHERE status = 'running' OR finished_at IS NULL`,
  'a lease that nobody holds': 'SELECT job FROM nightfill.lease',
};

const pageAt = (url: string): object => {
  const after = Number(new URL(url, 'http://any').searchParams.get('after') ?? 0);
  const next = after + pageSize;
  return {
    data: keys.slice(after, next).map((id) => ({ id })),
    meta: { total },
    paging: next < total ? { next: { after: String(next) } } : {},
  };
};

const jobFor = (origin: string): object =>
  scriptedJob(origin, {
    api: { limits: { concurrency: 4 }, timeout: '90s' },
    contracts: { paginate: { type: 'cursor', next: 'paging.next.after', param: 'after' }, total: 'meta.total' },
    chunk: { size: chunkSize },
    controls: [{ sum: 'amount', by: 'currency' }, { completeness: '100%' }],
    failures: { stopAbove: '100%' },
  });

async function tooSoon(running: RunningProcess): Promise<never> {
  const { exitCode, stderr } = await running.ended;
  throw new Error(`the command ended with ${exitCode} before the moment to kill it came: ${stderr}`);
}

/** Accepts the nth piece that holds a text. */
export function sent(text: string, nth = 1): Trap['matches'] {
  let seen = 0;
  return (bytes) => bytes.includes(text) && (seen += 1) === nth;
}

/** Accepts the COMMIT of the nth transaction in which a statement holding `text` was sent. */
export function commitOf(text: string, nth = 1): Trap['matches'] {
  const within = new Set<number>();
  let seen = 0;
  return (bytes, connection) => {
    if (bytes.includes(text)) within.add(connection);
    return bytes.includes('COMMIT\0') && within.delete(connection) && (seen += 1) === nth;
  };
}

/** Accepts the first rows of the nth COPY. */
export function copiedRows(nth = 1): Trap['matches'] {
  const copying = new Set<number>();
  let seen = 0;
  return (bytes, connection) => {
    // Rows are sent only once the server has said that it takes them, so they begin a piece.
    if (bytes[0] === 'd'.charCodeAt(0) && copying.delete(connection)) return (seen += 1) === nth;
    if (/COPY .* FROM STDIN/i.test(bytes.toString('latin1'))) copying.add(connection);
    return false;
  };
}
