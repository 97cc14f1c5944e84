import { findRun } from '../jobs/ledger.ts';
import { rfc3339, workOfRun } from '../report/figures.ts';
import type { Queryable } from '../sinks/postgres.ts';
import { commandLog } from './command-log.ts';
import { openHistory, type DatabaseSelection } from './open-database.ts';
import { table } from './summary.ts';
import type { Terminal } from './terminal.ts';

export interface HistoryOptions extends DatabaseSelection {
  json?: boolean;
  job?: string;
  limit?: number;
}

interface RunLine {
  id: string;
  job: string;
  businessDate: string;
  mode: string;
  status: string;
  exitCode: number | null;
  startedAt: string;
  finishedAt: string | null;
  contracts: number;
  loaded: number;
  failed: number;
  reason: string | null;
}

const runsSql = `
  SELECT run.id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", mode, run.status, exit_code AS "exitCode",
    ${rfc3339('started_at')} AS "startedAt", ${rfc3339('run.finished_at')} AS "finishedAt", reason,
    work.contracts, work.loaded, work.contracts - work.loaded AS failed
  FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
  CROSS JOIN LATERAL (${workOfRun}) AS work
  WHERE ($1::text IS NULL OR job = $1) AND ($2::uuid IS NULL OR run.id = $2)
  ORDER BY started_at DESC, run.id DESC LIMIT $3`;

/** `nightfill runs`: the latest runs, newest first. */
export async function runsCommand(options: HistoryOptions, terminal: Terminal): Promise<number> {
  return withDatabase(options, terminal, async (database, job) => {
    const { rows } = await database.query<RunLine>(runsSql, [job ?? null, null, options.limit ?? 20]);
    const head = ['run', 'job', 'date', 'mode', 'status', 'exit', 'started', 'contracts', 'loaded', 'failed'];
    const lines = rows.map((run) => [
      run.id,
      run.job,
      run.businessDate,
      run.mode,
      run.status,
      String(run.exitCode ?? ''),
      run.startedAt.slice(0, 19).replace('T', ' '),
      ...[run.contracts, run.loaded, run.failed].map(String),
    ]);
    return options.json ? rows : rows.length === 0 ? ['no runs yet'] : table([head, ...lines]);
  });
}

/** `nightfill show`: one run with its chunks and failures. */
export async function showCommand(run: string, options: HistoryOptions, terminal: Terminal): Promise<number> {
  return withDatabase(options, terminal, async (database, job) => {
    const { id, instance } = await findRun(database, { run, ...(job && { job }) });
    const { rows } = await database.query<RunLine>(runsSql, [null, id, 1]);
    const { rows: chunks } = await database.query<ChunkLine>(
      `SELECT number, status, contracts, enriched, degraded, failed, inserted, updated, unchanged, attempts,
         duration_ms AS "durationMs", reason, ${rfc3339('retry_after')} AS "retryAfter" FROM nightfill.chunk WHERE instance = $1 ORDER BY number`,
      [instance],
    );
    const { rows: failures } = await database.query(
      `SELECT key, chunk, stage, api, lookup, code, class, http_status AS "httpStatus", message, attempts, advice,
         ${rfc3339('advice_after')} AS "adviceAfter" FROM nightfill.failure WHERE instance = $1 ORDER BY chunk, key COLLATE "C"`,
      [instance],
    );
    if (options.json) return { ...rows[0], chunks, failures };
    const text = (row: object): string[] => Object.values(row).map((value) => String(value ?? ''));
    const listing = (title: string, entries: readonly object[]): string[] =>
      entries.length === 0 ? [] : ['', title, ...table([Object.keys(entries[0]!), ...entries.map(text)])];
    return [
      ...Object.entries(rows[0]!).map(([name, value]) => `${name.padEnd(14)}${value ?? ''}`),
      ...listing(
        'chunks',
        chunks.map(({ reason: _, retryAfter: __, ...chunk }) => chunk),
      ),
      ...notStarted(chunks),
      ...listing(
        'failures',
        failures.map(({ httpStatus: _, stage: __, adviceAfter: ___, ...failure }) => failure),
      ),
    ];
  });
}

interface ChunkLine extends Record<string, unknown> {
  number: number;
  reason: string | null;
  /** RFC 3339. */
  retryAfter: string | null;
}

/** Why chunks were not started and when to try again, once per reason. */
function notStarted(chunks: readonly ChunkLine[]): string[] {
  const left = chunks.filter(({ reason }) => reason !== null);
  const byReason = Map.groupBy(
    left,
    ({ reason, retryAfter }) => `${reason}${retryAfter ? `; not before ${retryAfter}` : ''}`,
  );
  return [...byReason].flatMap(([reason, those]) => [
    '',
    `not started: ${those.length === 1 ? 'chunk' : 'chunks'} ${ranges(those.map(({ number }) => number))}`,
    `  ${reason}`,
  ]);
}

/** `1-3, 7` */
function ranges(numbers: readonly number[]): string {
  const texts: string[] = [];
  let first = numbers[0]!;
  numbers.forEach((number, index) => {
    if (numbers[index + 1] === number + 1) return;
    texts.push(first === number ? String(number) : `${first}-${number}`);
    first = numbers[index + 1]!;
  });
  return texts.join(', ');
}

async function withDatabase(
  options: HistoryOptions,
  terminal: Terminal,
  read: (database: Queryable, job: string | undefined) => Promise<string[] | object>,
): Promise<number> {
  await using opened = await openHistory(options, { environment: terminal.environment, log: commandLog(terminal) });
  const result = await read(opened.database, opened.job);
  terminal.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${(result as string[]).join('\n')}\n`);
  return 0;
}
