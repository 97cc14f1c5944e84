import { hostname } from 'node:os';
import { v7 as uuid } from 'uuid';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { idRange } from '../id-beginning.ts';
import type { Trigger } from '../run.ts';
import { storableText } from '../storable-text.ts';
import { isoDate, rfc3339 } from '../time-text.ts';
import type { HistoryEntry, HistorySelection } from './entry.ts';

/** A start that came to nothing: it was refused before there was an instance to be a run of. */
export interface RefusedStart {
  command: 'run' | 'rerun';
  job: string;
  /** Null when the job file does not tell it. */
  businessDate: string | null;
  trigger: Trigger;
  exitCode: number;
  code: string;
  /** Without secrets. */
  message: string;
  /** Absolute path. */
  jobFile: string;
  version: string;
}

export async function storeRefusedStart(database: Queryable, o: RefusedStart): Promise<void> {
  await database.query(
    `INSERT INTO nightfill.refused_start (id, command, job, business_date, trigger, exit_code, code, message, job_file,
       host, process_id, version)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      uuid(),
      o.command,
      o.job,
      o.businessDate,
      o.trigger,
      o.exitCode,
      o.code,
      storableText(o.message),
      o.jobFile,
      hostname(),
      process.pid,
      o.version,
    ],
  );
}

/** Refused starts alone, newest first. */
export async function readRefusedStarts(
  database: Queryable,
  { job, id, limit }: HistorySelection,
): Promise<HistoryEntry[]> {
  const { rows } = await database.query<Omit<HistoryEntry, 'purpose' | 'mode' | 'status' | 'finishedAt'>>(
    `SELECT id, job, ${isoDate('business_date')} AS "businessDate", trigger, exit_code AS "exitCode",
       ${rfc3339('refused_at')} AS "startedAt", 0 AS contracts, 0 AS loaded, 0 AS failed, code, message AS reason
     FROM nightfill.refused_start
     WHERE ($1::text IS NULL OR job = $1) AND ($2::uuid IS NULL OR id BETWEEN $2 AND $3)
     ORDER BY refused_at DESC, id DESC LIMIT $4`,
    [job ?? null, ...idRange(id), limit],
  );
  return rows.map(({ startedAt, ...start }) => ({
    ...start,
    purpose: null,
    mode: null,
    status: 'refused',
    startedAt,
    finishedAt: startedAt,
    noHeartbeatSince: null,
  }));
}

interface Outdated {
  /** Older than so many milliseconds. */
  keepMs: number;
  job: string | undefined;
}

const outdated = `FROM nightfill.refused_start
  WHERE refused_at < now() - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)`;

export async function countOldRefusedStarts(database: Queryable, { keepMs, job }: Outdated): Promise<number> {
  const { rows } = await database.query<{ refused: number }>(`SELECT count(*)::integer AS refused ${outdated}`, [
    keepMs / 1_000,
    job ?? null,
  ]);
  return rows[0]!.refused;
}

/** Gives how many there were. */
export async function deleteOldRefusedStarts(database: Queryable, { keepMs, job }: Outdated): Promise<number> {
  const { rowCount } = await database.query(`DELETE ${outdated}`, [keepMs / 1_000, job ?? null]);
  return rowCount ?? 0;
}
