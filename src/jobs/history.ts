import { rfc3339, workOfRun } from '../report/figures.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Purpose } from '../ledger/instance.ts';
import { isCertainlyDead, thisProcess, type ProcessIdentity } from '../ledger/process-identity.ts';
import { idRange } from '../ledger/run-id.ts';

/** A run, or a start that was refused, as the history lists it. Times are RFC 3339. */
export interface HistoryEntry {
  id: string;
  job: string;
  /** Null where a start was refused before its date was known. */
  businessDate: string | null;
  /** A night, or the sample of `--limit`, which is none. Null of a refused start. */
  purpose: Purpose | null;
  /** Null of a refused start. */
  mode: string | null;
  trigger: string;
  status: string;
  exitCode: number | null;
  startedAt: string;
  finishedAt: string | null;
  contracts: number;
  loaded: number;
  failed: number;
  /** Of a refused start: its stable code. */
  code: string | null;
  reason: string | null;
  /** Of a run that is `running` and without its lease, or whose process is gone: when it last gave a sign of life. */
  noHeartbeatSince: string | null;
}

export interface HistorySelection {
  job?: string | undefined;
  /** A run's id, or its beginning. */
  id?: string | undefined;
  limit: number;
}

/** The latest runs and refused starts, newest first. */
export async function readHistory(database: Queryable, o: HistorySelection): Promise<HistoryEntry[]> {
  const runs = await readRuns(database, o);
  const refused = await readRefusedStarts(database, o);
  return [...runs, ...refused]
    .toSorted((one, other) => compare(other.startedAt, one.startedAt) || compare(other.id, one.id))
    .slice(0, o.limit);
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

interface HolderRow extends ProcessIdentity {
  lastSign: string;
  expired: boolean;
}

/** Runs alone. The latest are found by an index before anything is added up, however many there were. */
export async function readRuns(database: Queryable, { job, id, limit }: HistorySelection): Promise<HistoryEntry[]> {
  const { rows } = await database.query<Omit<HistoryEntry, 'code' | 'noHeartbeatSince'> & { holder: HolderRow | null }>(
    `SELECT run.id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", purpose, mode, trigger, run.status,
       exit_code AS "exitCode", ${rfc3339('started_at')} AS "startedAt", ${rfc3339('run.finished_at')} AS "finishedAt",
       work.contracts, work.loaded, work.contracts - work.loaded AS failed, reason,
       CASE WHEN run.status = 'running' THEN (${heartbeat}) END AS holder
     FROM (
       SELECT run.*, job, business_date, purpose FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
       WHERE ($1::text IS NULL OR job = $1) AND ($2::uuid IS NULL OR run.id BETWEEN $2 AND $3)
       ORDER BY started_at DESC, run.id DESC LIMIT $4
     ) AS run CROSS JOIN LATERAL (${workOfRun}) AS work
     ORDER BY started_at DESC, run.id DESC`,
    [job ?? null, ...idRange(id), limit],
  );
  return rows.map(({ holder, ...run }) => ({ ...run, code: null, noHeartbeatSince: silentSince(holder) }));
}

/** Who holds a running run's lease, and the latest sign of life: a heartbeat, a chunk committed, its start. */
const heartbeat = `
  SELECT json_build_object('host', coalesce(host, ''), 'processId', coalesce(process_id, 0),
    'processBorn', coalesce(process_born, ''), 'expired', coalesce(expires_at < now(), true),
    'lastSign', ${rfc3339(`greatest(run.started_at, renewed_at,
      (SELECT max(chunk_attempt.finished_at) FROM nightfill.chunk_attempt WHERE chunk_attempt.run = run.id))`)})
  FROM (SELECT 1) AS one LEFT JOIN nightfill.lease ON lease.job = run.job AND lease.run = run.id`;

function silentSince(holder: HolderRow | null): string | null {
  if (holder === null) return null;
  return holder.expired || isCertainlyDead(holder, thisProcess()) ? holder.lastSign : null;
}

/** Refused starts alone, newest first. */
export async function readRefusedStarts(
  database: Queryable,
  { job, id, limit }: HistorySelection,
): Promise<HistoryEntry[]> {
  const { rows } = await database.query<Omit<HistoryEntry, 'purpose' | 'mode' | 'status' | 'finishedAt'>>(
    `SELECT id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", trigger, exit_code AS "exitCode",
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
