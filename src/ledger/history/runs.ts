import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { isCertainlyDead, thisProcess, type ProcessIdentity } from '../process-identity.ts';
import { idRange } from '../id-beginning.ts';
import { isoDate, rfc3339 } from '../time-text.ts';
import { workOfRun } from '../work-of-run.ts';
import type { HistoryEntry, HistorySelection } from './entry.ts';

interface HolderRow extends ProcessIdentity {
  lastSign: string;
  expired: boolean;
}

/** Runs alone, newest first. The latest are found by an index before anything is added up, however many there were. */
export async function readRuns(database: Queryable, { job, id, limit }: HistorySelection): Promise<HistoryEntry[]> {
  const { rows } = await database.query<Omit<HistoryEntry, 'code' | 'noHeartbeatSince'> & { holder: HolderRow | null }>(
    `SELECT run.id, job, ${isoDate('business_date')} AS "businessDate", purpose, mode, trigger, run.status,
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
