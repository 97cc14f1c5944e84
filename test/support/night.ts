import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { main } from '../../src/cli.ts';
import type { StopSignalName } from '../../src/session/terminal.ts';
import { reportSchema, type Report } from '../../src/report/schema.ts';
import type { ClientForCopy } from '../../src/sinks/postgres/postgres.ts';
import { compileCache } from './compile-cache.ts';
import { createDatabase, type Lifetime, type TestDatabase } from './database.ts';

export { until } from './until.ts';

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

/** A command at work. */
export interface Running {
  signal(name: StopSignalName): void;
  /** So far. */
  output(): Pick<Ended, 'stdout' | 'stderr'>;
  ended: Promise<Ended>;
}

/** A command at work as a process of its own, which can also be killed. */
export interface RunningProcess extends Running {
  process: ChildProcess;
  processId: number;
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

/** A user's working folder with a database; commands run in this process unless they are started with `startProcess`. */
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

  /** Runs a command in this process, to its end. */
  async nightfill(...commandLine: string[]): Promise<Ended> {
    return this.start(...commandLine).ended;
  }

  /** Starts a command in this process and lets it run; stopped when the test ends before it does. */
  start(...commandLine: string[]): Running {
    const output = { stdout: '', stderr: '' };
    const signals = new EventEmitter();
    const signal = (name: StopSignalName): void => void signals.emit(name, name);
    let testIsOver = false;
    const exitCode = main(commandLine, {
      directory: this.folder,
      environment: this.environment,
      stdout: collecting((text) => (output.stdout += text)),
      stderr: collecting((text) => (output.stderr += text)) as NodeJS.WriteStream,
      signals,
      exit(code) {
        assert(
          testIsOver,
          `the command wants its process to exit with ${code}: it needs one of its own, by startProcess`,
        );
      },
    });
    // A second signal ends at once what the first one lets end.
    const stop = (): void => {
      signal('SIGTERM');
      signal('SIGTERM');
    };
    const ended = this.#end(
      exitCode.then((code) => ({ exitCode: code, signal: null })),
      { output, stop },
    );
    this.#t.after(async () => {
      testIsOver = true;
      stop();
      await exitCode.catch(() => undefined);
    });
    return { signal, output: () => ({ ...output }), ended };
  }

  /** Starts a command as a process of its own and lets it run; killed when the test ends before it does. */
  startProcess(...commandLine: string[]): RunningProcess {
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
    const { promise, resolve, reject } = Promise.withResolvers<Pick<Ended, 'exitCode' | 'signal'>>();
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
    return {
      process: child,
      processId: child.pid!,
      signal: (name) => void child.kill(name),
      output: () => ({ ...output }),
      ended: this.#end(promise, { output, stop: () => void child.kill('SIGKILL') }),
    };
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

  async #end(
    end: Promise<Pick<Ended, 'exitCode' | 'signal'>>,
    { output, stop }: { output: Pick<Ended, 'stdout' | 'stderr'>; stop: () => void },
  ): Promise<Ended> {
    // A command that does not end by itself fails its test instead of holding up all others.
    const tooLong = setTimeout(stop, patience);
    const ended = { ...(await end.finally(() => clearTimeout(tooLong))), ...output };
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

/** A stream that never makes its writer wait. */
const collecting = (take: (text: string) => void): Writable =>
  new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _, done) {
      take(chunk.toString());
      done();
    },
  });

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
