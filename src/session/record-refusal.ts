import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isMap, parseDocument } from 'yaml';
import { businessDateIn } from '../jobs/business-date.ts';
import { loadJobHeader } from '../config/load-job-header.ts';
import type { PinnedDatabase } from '../jobs/job.ts';
import { storeRefusedStart, type RefusedStart } from '../ledger/history/refused-start.ts';
import { secretFilter } from '../observe/redact.ts';
import { UsageError } from '../resilience/failure.ts';
import { resolveConnection } from '../sinks/postgres/choose-database.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { version } from '../version.ts';
import { commandLog } from './command-log.ts';
import { readIfThere, type DatabaseSelection } from './open-database.ts';
import type { Terminal } from './terminal.ts';

/** The options of a start that decide what is recorded of it, and where. */
interface StartOptions extends Pick<DatabaseSelection, 'trigger' | 'databaseUrl'> {
  date?: string;
  limit?: number;
  dryRun?: boolean;
}

type Start = Pick<RefusedStart, 'command' | 'job' | 'businessDate' | 'jobFile'> & {
  options: StartOptions;
  secrets: readonly string[];
};

/**
 * The result of the task. A refused start (exit code 2) is recorded in the ledger, because otherwise the history would look
 * as if no run had been due. Not for a sample or a dry run, which are not due.
 */
export async function recordingRefusal<T>(database: Queryable, start: Start, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    // Ignored: a database that cannot be written to is mostly the reason for the refusal.
    if (error instanceof UsageError) await record(database, { start, error }).catch(() => undefined);
    throw error;
  }
}

/**
 * The same for an invalid job file, if the job's name can still be read and the database exists with its schema. A manual
 * start does not start the embedded one for this, because the user sees the message.
 */
export async function recordUnusableFile(
  file: string,
  { error, options, terminal }: { error: unknown; options: StartOptions; terminal: Terminal },
): Promise<void> {
  if (!(error instanceof UsageError)) return;
  const { directory, environment } = terminal;
  const path = resolve(directory, file);
  const facts = await factsOf(path, environment);
  if (facts === undefined) return;
  const { trigger = 'manual', databaseUrl } = options;
  const { database: pinned } = facts;
  const selection = { trigger, database: pinned, ...(databaseUrl !== undefined && { databaseUrl }) };
  const start: Start = {
    command: 'run',
    job: facts.name,
    businessDate: options.date ?? facts.businessDate,
    jobFile: path,
    options,
    secrets: [],
  };
  try {
    if (trigger === 'manual' && resolveConnection({ environment, databaseUrl, pinned }).kind === 'embedded') return;
    await readIfThere(selection, { ...terminal, log: commandLog(terminal) }, async (database) =>
      record(database, { start, error }),
    );
  } catch {
    // The database cannot be used either; the caller throws the first error.
  }
}

async function record(database: Queryable, { start, error }: { start: Start; error: UsageError }): Promise<void> {
  const { options, secrets, ...facts } = start;
  if (options.dryRun || options.limit !== undefined) return;
  const line = JSON.stringify({ level: 'info', time: '', message: error.message });
  const { message } = JSON.parse(secretFilter(secrets)(line)) as { message: string };
  await storeRefusedStart(database, {
    ...facts,
    trigger: options.trigger ?? 'manual',
    exitCode: 2,
    code: error.code,
    message,
    version,
  });
}

interface Facts {
  name: string;
  businessDate: string | null;
  database?: PinnedDatabase;
}

/** Name, date and database of a job file that may be invalid; undefined without a name. */
async function factsOf(file: string, environment: NodeJS.ProcessEnv): Promise<Facts | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  if (!isMap(contents)) return undefined;
  const [name, timezone = 'UTC'] = ['name', 'timezone'].map((key) => contents.get(key));
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) return undefined;
  const facts = { name, businessDate: typeof timezone === 'string' ? dateIn(timezone) : null };
  if (!contents.has('database')) return facts;
  // The refusal is recorded only in the pinned database, if there is one; not at all when that cannot be resolved.
  const header = await loadJobHeader(file, { environment }).catch(() => undefined);
  return header?.database && { ...facts, database: header.database };
}

function dateIn(timezone: string): string | null {
  try {
    return businessDateIn(timezone, new Date());
  } catch {
    return null;
  }
}
