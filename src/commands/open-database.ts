import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { NightfillError, UsageError } from '../resilience/failure.ts';
import type { Log } from '../observe/log.ts';
import { sessionName, thisProcess } from '../jobs/process-identity.ts';
import { resolveConnection } from '../sinks/connection.ts';
import { openEmbedded } from '../sinks/embedded.ts';
import { migrate, pendingMigrations } from '../sinks/migrations.ts';
import { Database } from '../sinks/postgres.ts';
import type { Terminal } from './terminal.ts';

export interface DatabaseSelection {
  databaseUrl?: string;
  /** The schema is upgraded (the default), required to be current (`--no-migrate`), or left to the caller. */
  migrate?: boolean | 'later';
}

/** A database that closes with its embedded server, when it has one. */
export type OpenedDatabase = AsyncDisposable & { database: Database };

/**
 * Connects to the database that options and environment name, or starts the embedded one, and upgrades the schema.
 * An aborted signal is heeded between these steps, so that an embedded server is stopped in good order.
 */
export async function openDatabase(
  selection: DatabaseSelection,
  { environment, log, signal }: Pick<Terminal, 'environment'> & { log: Log; signal?: AbortSignal },
): Promise<OpenedDatabase> {
  await using stack = new AsyncDisposableStack();
  const connection = resolveConnection({
    environment,
    ...(selection.databaseUrl && { databaseUrl: selection.databaseUrl }),
  });
  const { config, description } =
    connection.kind === 'server'
      ? connection
      : stack.use(await openEmbedded({ directory: resolve('.nightfill/postgres'), log: (line) => log.debug(line) }));
  signal?.throwIfAborted();
  const database = stack.use(
    await Database.open({
      config,
      description,
      applicationName: sessionName(thisProcess()),
      onIdleError: (error) => log.warn({ reason: error.message }, 'an idle connection failed'),
    }),
  );
  if (selection.migrate === undefined || selection.migrate === true) await migrate(database);
  else if (selection.migrate === false) await requireCurrentSchema(database);
  signal?.throwIfAborted();
  const opened = stack.move();
  return { database, [Symbol.asyncDispose]: async () => opened.disposeAsync() };
}

/** What `read` finds in a database that is there and has the schema, or why it cannot be read. Makes and changes nothing. */
export async function readIfThere<T>(
  selection: Pick<DatabaseSelection, 'databaseUrl'>,
  { environment, log }: Pick<Terminal, 'environment'> & { log: Log },
  read: (database: Database) => Promise<T>,
): Promise<T | { unknown: string }> {
  const connection = resolveConnection({ environment, ...selection });
  if (connection.kind === 'embedded' && !existsSync(resolve('.nightfill/postgres/data/PG_VERSION')))
    return { unknown: 'no database is named, and there is no embedded one here yet' };
  try {
    await using opened = await openDatabase({ ...selection, migrate: 'later' }, { environment, log });
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
