import { hostname } from 'node:os';
import type { Queryable } from '../sinks/postgres/postgres.ts';

export type RunMode = 'normal' | 'continue' | 'rerun' | 'dry-run';
export type Trigger = 'manual' | 'cron' | 'schedule' | 'worker';
export type RunStatus = 'succeeded' | 'partial' | 'controls-failed' | 'failed' | 'stopped';
/** A run that died stays `running` until another one finds it crashed. */
export type StoredRunStatus = RunStatus | 'running' | 'crashed';

export interface RunRow {
  id: string;
  instance: string;
  mode: RunMode;
  rerunOf: string | null;
  rootRun: string;
  status: StoredRunStatus;
  jobFile: string;
  configSha256: string;
}

export const runColumns = `run.id, run.instance, run.mode, run.rerun_of AS "rerunOf", run.root_run AS "rootRun", run.status,
  run.job_file AS "jobFile", run.config_sha256 AS "configSha256"`;

/** Records that the run has begun. Repeating it changes nothing: the answer to its COMMIT may be lost. */
export async function startRun(
  database: Queryable,
  o: {
    id: string;
    instance: string;
    mode: RunMode;
    trigger: Trigger;
    continues: RunRow | undefined;
    version: string;
    /** Absolute path. */
    jobFile: string;
    configSha256: string;
  },
): Promise<void> {
  await database.query(
    `INSERT INTO nightfill.run (id, instance, mode, trigger, rerun_of, root_run, host, process_id, version, config_sha256, job_file)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING`,
    [
      o.id,
      o.instance,
      o.mode,
      o.trigger,
      o.mode === 'rerun' ? (o.continues?.id ?? null) : null,
      o.continues?.rootRun ?? o.id,
      hostname(),
      process.pid,
      o.version,
      o.configSha256,
      o.jobFile,
    ],
  );
}

/** The latest run of an instance, which a further run continues. */
export async function latestRunOf(database: Queryable, instance: string): Promise<RunRow | undefined> {
  const { rows } = await database.query<RunRow>(
    `SELECT ${runColumns} FROM nightfill.run WHERE instance = $1 ORDER BY started_at DESC, id DESC LIMIT 1`,
    [instance],
  );
  return rows[0];
}

/**
 * Under a fresh lease: marks what an earlier holder left `running` as crashed and takes its chunks over, with those of
 * this instance. A crashed run may be alive after all, and of another date: its chunks are not its own any more either.
 */
export async function takeOver(
  database: Queryable,
  o: { job: string; instance: string; run: string; token: string },
): Promise<{ crashed: number }> {
  const { rows } = await database.query<{ instance: string }>(
    `UPDATE nightfill.run SET status = 'crashed', exit_code = 1, finished_at = now(), reason = 'the process ended without closing its run'
     FROM nightfill.instance
     WHERE instance.id = run.instance AND instance.job = $1 AND run.status = 'running' AND run.id <> $2
     RETURNING run.instance`,
    [o.job, o.run],
  );
  const instances = [o.instance, ...rows.map(({ instance }) => instance)];
  await database.query(`UPDATE nightfill.chunk SET lease = $2 WHERE instance = ANY ($1)`, [instances, o.token]);
  return { crashed: rows.length };
}

export async function finishRun(
  database: Queryable,
  o: { run: string; status: RunStatus; exitCode: number; reason: string | null },
): Promise<void> {
  await database.query(
    `UPDATE nightfill.run SET status = $2, exit_code = $3, reason = $4, finished_at = coalesce(finished_at, now()) WHERE id = $1`,
    [o.run, o.status, o.exitCode, o.reason],
  );
}

/** Closes a run that ended without a report, unless it is closed or deleted already. */
export async function abandonRun(database: Queryable, o: { run: string; reason: string }): Promise<void> {
  await database.query(
    `UPDATE nightfill.run SET status = 'failed', exit_code = 1, reason = $2, finished_at = now()
     WHERE id = $1 AND status = 'running'`,
    [o.run, o.reason],
  );
}

/** Deletes a run that did nothing. */
export async function discardRun(database: Queryable, run: string): Promise<void> {
  await database.query(`DELETE FROM nightfill.run WHERE id = $1`, [run]);
}

/** Whether the run has committed work on any chunk. */
export async function hasAttempts(database: Queryable, run: string): Promise<boolean> {
  const { rowCount } = await database.query(`SELECT FROM nightfill.chunk_attempt WHERE run = $1 LIMIT 1`, [run]);
  return rowCount === 1;
}
