import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { NightfillError, UsageError } from '../resilience/failure.ts';
import type { Log } from '../observe/log.ts';
import { sessionName, thisProcess } from '../ledger/process-identity.ts';
import type { Trigger } from '../ledger/run.ts';
import { loadJobHeader } from '../config/load-job-header.ts';
import { resolveConnection, type Connection, type PinnedDatabase } from '../sinks/postgres/choose-database.ts';
import { openEmbedded } from '../sinks/embedded/embedded.ts';
import { migrate, pendingMigrations } from '../ledger/migrations.ts';
import { Database } from '../sinks/postgres/postgres.ts';
import { waitForDatabase } from '../sinks/postgres/wait-for-database.ts';
import type { Terminal } from './terminal.ts';

export interface DatabaseSelection {
  databaseUrl?: string;
  /** By the job file. */
  database?: PinnedDatabase | undefined;
  /** What started the run: only a manual start falls back to the embedded database. */
  trigger?: Trigger;
  /** Milliseconds to wait for a database that is not up yet. Default: tried once. */
  databaseWait?: number;
  /** The schema is upgraded (the default), required to be current (`--no-migrate`), or left to the caller. */
  migrate?: boolean | 'later';
}

/** Milliseconds that a run waits for a database that is not up yet or went away. */
export const defaultDatabaseWaitMs = 120_000;

type Place = Pick<Terminal, 'directory' | 'environment'>;

const embeddedIn = (directory: string): string => resolve(directory, '.nightfill/postgres');

/** A database that closes with its embedded server, when it has one. */
export type OpenedDatabase = AsyncDisposable & { database: Database };

/**
 * Connects to the database that options and environment name, or starts the embedded one, and upgrades the schema.
 * The signal is checked between these steps, so that an embedded server is stopped in good order.
 */
export async function openDatabase(
  selection: DatabaseSelection,
  { directory, environment, log, signal }: Place & { log: Log; signal?: AbortSignal },
): Promise<OpenedDatabase> {
  await using stack = new AsyncDisposableStack();
  const connection = connectionOf(selection, environment);
  const patience = {
    waitMs: selection.databaseWait ?? 0,
    signal,
    onWait: (reason: string): void =>
      log.warn({ reason, atMostMs: selection.databaseWait }, 'waiting for the database (--database-wait)'),
  };
  const { config, description } =
    connection.kind === 'server'
      ? connection
      : stack.use(
          await openEmbedded({ directory: embeddedIn(directory), from: directory, log: (line) => log.debug(line) }),
        );
  signal?.throwIfAborted();
  const database = stack.use(
    await waitForDatabase(
      async () =>
        Database.open({
          config,
          description,
          signal,
          applicationName: sessionName(thisProcess()),
          onIdleError: (error) => log.warn({ reason: error.message }, 'an idle connection failed'),
        }),
      patience,
    ),
  );
  // Retried, because a restarting server may be down again; applied migrations are not repeated.
  await waitForDatabase(async () => prepareSchema(database, selection.migrate ?? true), patience);
  signal?.throwIfAborted();
  const opened = stack.move();
  return { database, [Symbol.asyncDispose]: async () => opened.disposeAsync() };
}

const connectionOf = (
  { databaseUrl, database: pinned, trigger = 'manual' }: DatabaseSelection,
  environment: NodeJS.ProcessEnv,
): Connection =>
  resolveConnection({ environment, databaseUrl, pinned, unattended: trigger === 'manual' ? undefined : trigger });

/** Throws UsageError when no database is named and the embedded one may not be used. */
export function requireDatabase(selection: DatabaseSelection, { environment }: Pick<Terminal, 'environment'>): void {
  connectionOf(selection, environment);
}

async function prepareSchema(database: Database, how: boolean | 'later'): Promise<void> {
  if (how === true) await migrate(database);
  else if (how === false) await requireCurrentSchema(database);
}

const isThere = (connection: Connection, { directory }: Place): boolean =>
  connection.kind === 'server' || existsSync(join(embeddedIn(directory), 'data/PG_VERSION'));

/** A database with history, and the job that was named by its name or its file. */
export type OpenedHistory = OpenedDatabase & { job?: string; jobFile?: string };

/**
 * The database in which a command looks for earlier runs. `--job` names the job, or its file: then the database is the
 * one that the file pins, if it does. A missing embedded database is not created, because it would be empty.
 */
export async function openHistory(
  { job, ...selection }: DatabaseSelection & { job?: string },
  o: Place & { log: Log; signal?: AbortSignal },
): Promise<OpenedHistory> {
  const isFile = job !== undefined && /[\\/]|\.(?:ya?ml|json)$/.test(job);
  const { name, database } = isFile ? await loadJobHeader(job, o) : { name: job };
  const pinned = database ?? selection.database;
  if (!isThere(connectionOf({ ...selection, database: pinned }, o.environment), o))
    throw new UsageError(
      `there are no runs here: ${pinned ? 'the embedded database' : 'no database is named, and the embedded one'} is not in .nightfill/postgres of this folder; ` +
        'go to the folder it is in, set DATABASE_URL, or name the job file that says where its database is: --job FILE',
      { code: 'NO_HISTORY' },
    );
  const opened = await openDatabase({ ...selection, database: pinned }, o);
  return {
    ...opened,
    ...(name !== undefined && { job: name }),
    ...(isFile && { jobFile: job }),
  };
}

/** The result of `read` on an existing database with the schema, or the reason why there is none. Creates and changes nothing. */
export async function readIfThere<T>(
  selection: Omit<DatabaseSelection, 'migrate'>,
  { directory, environment, log, signal }: Place & { log: Log; signal?: AbortSignal },
  read: (database: Database) => Promise<T>,
): Promise<T | { unknown: string }> {
  if (!isThere(connectionOf(selection, environment), { directory, environment }))
    return {
      unknown: selection.database
        ? 'there is no embedded database here yet'
        : 'no database is named, and there is no embedded one here yet',
    };
  try {
    await using opened = await openDatabase(
      { ...selection, migrate: 'later' },
      { directory, environment, log, ...(signal && { signal }) },
    );
    const { database } = opened;
    const pending = await pendingMigrations(database);
    if (pending.length > 0) return { unknown: `${database.description} has no nightfill schema of this version yet` };
    return await read(database);
  } catch (error) {
    if (!(error instanceof NightfillError)) throw error;
    return { unknown: error.message };
  }
}

async function requireCurrentSchema(database: Database): Promise<void> {
  const pending = await pendingMigrations(database);
  if (pending.length > 0)
    throw new UsageError(
      `the nightfill schema in ${database.description} lacks ${pending.join(', ')}; run nightfill migrate first, or leave --no-migrate out`,
      { code: 'SCHEMA_OUTDATED' },
    );
}
