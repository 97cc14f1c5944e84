import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { main } from '../../src/cli.ts';
import { reportSchema, type Report } from '../../src/report/schema.ts';
import type { ClientForCopy } from '../../src/sinks/postgres/postgres.ts';
import { compileCache } from './compile-cache.ts';
import { createDatabase, type Lifetime, type TestDatabase } from './database.ts';

const program = fileURLToPath(new URL('../../bin/nightfill.js', import.meta.url));
const reportJsonSchema = fileURLToPath(new URL('../../schema/report.schema.json', import.meta.url));

/** Milliseconds that any command ends within, also on a busy machine. */
const patience = 90_000;

/** A command that came to its end. */
export interface Ended {
  exitCode: number | null;
  /** Null unless a signal ended it. */
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  process: ChildProcess;
  processId: number;
  /** So far. */
  output(): Pick<Ended, 'stdout' | 'stderr'>;
  ended: Promise<Ended>;
}

export interface NightOptions {
  /** Of the command line, beside PATH: credentials, addresses. */
  environment?: Record<string, string>;
  /** Must not be found in anything the command line writes. */
  secrets?: readonly string[];
  /** False: the database begins without the `nightfill` schema. */
  schema?: boolean;
  /** Another database than one of the night's own; null: none is named. */
  databaseUrl?: string | null;
}

/** With `schema: false` the database is empty, and the schema comes with the first run, as for a user. */
export async function startNight(t: Lifetime, options: NightOptions = {}): Promise<Night> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-night-'));
  t.after(async () => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  const database =
    options.databaseUrl === undefined
      ? await createDatabase(t, { template: options.schema === false ? 'empty' : 'migrated' })
      : undefined;
  return new Night(t, { folder, ...options, ...(database && { database }) });
}

/** A user's working folder, with the command line as a process of its own and a database. */
export class Night {
  readonly folder: string;
  readonly environment: Record<string, string>;
  readonly secrets: readonly string[];
  readonly #t: Lifetime;
  readonly #database: TestDatabase | undefined;

  constructor(t: Lifetime, o: NightOptions & { folder: string; database?: TestDatabase }) {
    const url = o.databaseUrl ?? o.database?.url;
    this.#t = t;
    this.folder = o.folder;
    this.secrets = o.secrets ?? [];
    this.#database = o.database;
    this.environment = {
      PATH: process.env['PATH'] ?? '',
      NODE_COMPILE_CACHE: compileCache,
      HOME: o.folder,
      ...(url && { DATABASE_URL: url }),
      ...o.environment,
    };
  }

  /** The file that `node` runs. */
  get program(): string {
    return program;
  }

  get databaseUrl(): string {
    return this.environment['DATABASE_URL']!;
  }

  /** The database of its own. */
  get database(): TestDatabase['database'] {
    assert(this.#database, 'this night has no database of its own');
    return this.#database.database;
  }

  /** Rows of a query, each an object by column name. */
  async query<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    assert(this.#database, 'this night has no database of its own');
    return (await this.#database.database.query<Row>(sql, values)).rows;
  }

  /** Keeps what a statement locks locked, by a session of its own, while `task` runs; commits what the task does with it. */
  async whileLocked(sql: string, task: (client: Pick<ClientForCopy, 'query'>) => Promise<void>): Promise<void> {
    assert(this.#database, 'this night has no database of its own');
    await this.#database.database.withTransaction(async (client) => {
      await client.query(sql);
      await task(client);
    });
  }

  /** Writes a file into the folder; an object as JSON, which YAML is. */
  async write(name: string, content: string | object): Promise<void> {
    const file = path.join(this.folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
  }

  async read(name: string): Promise<string> {
    return readFile(path.join(this.folder, name), 'utf8');
  }

  /** Starts a command and lets it run; killed when the test ends before it does. */
  start(...commandLine: string[]): Running {
    const child = spawn(process.execPath, [program, ...commandLine], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#t.after(() => child.kill('SIGKILL'));
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    }
    return {
      process: child,
      processId: child.pid!,
      output: () => ({ ...output }),
      ended: this.#end(child, output),
    };
  }

  /** Runs a command to its end. */
  async nightfill(...commandLine: string[]): Promise<Ended> {
    return this.start(...commandLine).ended;
  }

  /** The same in this process, for what is quick and many; in the test's working folder, so paths must be absolute. */
  async nightfillHere(...commandLine: string[]): Promise<Omit<Ended, 'signal'>> {
    const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
    // Read all along: a command may wait for what it wrote to be read.
    const [stdout, stderr] = [text(streams.stdout), text(streams.stderr)];
    const exitCode = await main(commandLine, {
      stdout: streams.stdout,
      stderr: streams.stderr as unknown as NodeJS.WriteStream,
      environment: this.environment,
    });
    streams.stdout.end();
    streams.stderr.end();
    return { exitCode, stdout: await stdout, stderr: await stderr };
  }

  /** The latest report file, held against the schema in zod and the one that ships. */
  async report(name = this.#onlyReport()): Promise<Report> {
    const text = await this.read(name);
    this.#holdsNoSecret(text, 'the report');
    const report: unknown = JSON.parse(text);
    await assertShippedSchema(report);
    return reportSchema.parse(report);
  }

  #onlyReport(): string {
    const files = readdirSync(path.join(this.folder, 'reports')).filter((file) => file.endsWith('.json'));
    assert.equal(files.length, 1, `one report was expected, not ${files.join(', ')}`);
    return path.join('reports', files[0]!);
  }

  async #end(child: ChildProcess, output: { stdout: string; stderr: string }): Promise<Ended> {
    const { promise, resolve, reject } = Promise.withResolvers<Ended>();
    // A command that does not end by itself fails its test instead of holding up all others.
    const tooLong = setTimeout(() => child.kill('SIGKILL'), patience);
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal, ...output }));
    const ended = await promise.finally(() => clearTimeout(tooLong));
    // Whatever a test is about: nobody is shown a secret or a stack trace.
    this.#holdsNoSecret(ended.stdout, 'standard output');
    this.#holdsNoSecret(ended.stderr, 'standard error');
    assert.doesNotMatch(ended.stderr, /^\s+at .*[(/]|\\n\s+at /m, 'a stack trace');
    return ended;
  }

  #holdsNoSecret(text: string, where: string): void {
    for (const secret of this.secrets) assert(!text.includes(secret), `${where} holds the secret ${secret}:\n${text}`);
  }
}

const compiled = readFile(reportJsonSchema, 'utf8').then((text) => {
  const ajv = new Ajv({ allErrors: true });
  addFormats.default(ajv);
  return ajv.compile(JSON.parse(text) as object);
});

/** Every control of a first night: there is none before it to compare its listing with. */
export function assertAllPass(controls: Report['controls']): void {
  for (const { name, type, result } of controls)
    assert.equal(result, type === 'listed' ? 'not-evaluated' : 'pass', name);
}

export async function assertShippedSchema(report: unknown): Promise<void> {
  const fits = await compiled;
  assert(fits(report), JSON.stringify(fits.errors, undefined, 2));
}

/** Asks again and again until it is so; fails when `over` comes first. */
export async function until(isSo: () => boolean | Promise<boolean>, over: Promise<unknown>): Promise<void> {
  let tooLate = false;
  const end = (): void => void (tooLate = true);
  over.then(end, end);
  while (!(await isSo())) {
    assert(!tooLate, 'the command ended before what was waited for had happened');
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
