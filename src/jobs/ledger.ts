import { hostname } from 'node:os';
import { v7 as uuid } from 'uuid';
import { UsageError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Job } from './job.ts';
import { idRange } from '../ledger/run-id.ts';

export type Purpose = 'night' | 'sample' | 'dry-run';
export type RunMode = 'normal' | 'continue' | 'rerun' | 'dry-run';
export type Trigger = 'manual' | 'cron' | 'schedule' | 'worker';
export const runStatuses = ['succeeded', 'partial', 'controls-failed', 'failed', 'stopped'] as const;
export type RunStatus = (typeof runStatuses)[number];

export interface Instance {
  id: string;
  job: string;
  businessDate: string;
  status: 'planning' | 'planned' | 'complete';
  target: string;
  targetKey: string[];
  configSha256: string;
}

const instanceColumns = `id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", status, target,
  target_key AS "targetKey", config_sha256 AS "configSha256"`;

/** How the ledger names a job's target. */
export const targetName = ({ load: { table } }: Job): string => `${table.schema}.${table.name}`;

/** The job's latest instance for the date, if any. */
export async function findInstance(
  database: Queryable,
  o: { job: string; businessDate: string; purpose: Purpose },
): Promise<Instance | undefined> {
  const { rows } = await database.query<Instance>(
    `SELECT ${instanceColumns} FROM nightfill.instance
     WHERE job = $1 AND business_date = $2 AND purpose = $3 ORDER BY generation DESC LIMIT 1`,
    [o.job, o.businessDate, o.purpose],
  );
  return rows[0];
}

export async function createInstance(
  database: Queryable,
  o: { job: Job; businessDate: string; purpose: Purpose },
): Promise<Instance> {
  const { job } = o;
  const { rows } = await database.query<Instance>(
    `INSERT INTO nightfill.instance (id, job, business_date, generation, purpose, status, timezone, target, target_key, config_sha256, knows_rows)
     SELECT $1, $2, $3, coalesce(max(generation), 0) + 1, $4, 'planning', $5, $6, $7, $8, true
     FROM nightfill.instance WHERE job = $2 AND business_date = $3 AND purpose = $4
     RETURNING ${instanceColumns}`,
    [uuid(), job.name, o.businessDate, o.purpose, job.timezone, targetName(job), job.load.key, job.file.sha256],
  );
  return rows[0]!;
}

/**
 * Locks the instance's row to the end of the transaction. A transaction of ours whose answer to COMMIT was lost has the
 * lock as well, so what is read from here on is read after its end, however that was.
 */
export async function lockInstance(client: Queryable, instance: string): Promise<void> {
  await client.query(`SELECT FROM nightfill.instance WHERE id = $1 FOR NO KEY UPDATE`, [instance]);
}

/** Whether chunks of this plan have put rows into the target; rows held back for the end do not count. */
export async function hasLoadedRows(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.chunk WHERE instance = $1 AND inserted + updated + unchanged > 0 LIMIT 1`,
    [instance],
  );
  return rowCount === 1;
}

/** The stored plan belongs to a target and a key; with others its rows would land elsewhere. Throws UsageError. */
export function requireSameTarget(instance: Instance, job: Job): void {
  if (instance.target === targetName(job) && instance.targetKey.join() === job.load.key.join()) return;
  throw new UsageError(
    `the plan of ${instance.job} for ${instance.businessDate} loads ${instance.target} by (${instance.targetKey.join(', ')}), and ${job.file.path} now says ${targetName(job)} by (${job.load.key.join(', ')}); put the job file back, or plan anew with run --again`,
    { code: 'TARGET_CHANGED' },
  );
}

export interface RunRow {
  id: string;
  instance: string;
  mode: RunMode;
  rerunOf: string | null;
  rootRun: string;
  status: string;
  jobFile: string;
  configSha256: string;
}

const runColumns = `run.id, run.instance, run.mode, run.rerun_of AS "rerunOf", run.root_run AS "rootRun", run.status,
  run.job_file AS "jobFile", run.config_sha256 AS "configSha256"`;

export async function startRun(
  database: Queryable,
  o: {
    id: string;
    instance: string;
    mode: RunMode;
    trigger: Trigger;
    continues: RunRow | undefined;
    version: string;
    job: Job;
  },
): Promise<void> {
  await database.query(
    `INSERT INTO nightfill.run (id, instance, mode, trigger, rerun_of, root_run, host, process_id, version, config_sha256, job_file)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
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
      o.job.file.sha256,
      o.job.file.path,
    ],
  );
}

/**
 * The run that `latest` or an id (or its unambiguous beginning) names. `latest` is a night's where there is any, else a
 * sample's. Throws UsageError.
 */
export async function findRun(database: Queryable, o: { run: string; job?: string }): Promise<RunRow> {
  const latest = o.run === 'latest';
  if (!latest && !/^[0-9a-f-]{4,36}$/i.test(o.run))
    throw new UsageError(`a run is named by its id or by latest, not by "${o.run}"; nightfill runs lists them`);
  const select = async (where: string, values: unknown[]): Promise<RunRow[]> =>
    (
      await database.query<RunRow>(
        // In the order of an index, so that a long history is not read.
        `SELECT ${runColumns} FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
         WHERE ($1::text IS NULL OR instance.job = $1) AND ${where}
         ORDER BY run.started_at DESC, run.id DESC LIMIT 2`,
        [o.job ?? null, ...values],
      )
    ).rows;
  const byId = async (): Promise<RunRow[]> =>
    select(`run.id BETWEEN $2::uuid AND $3::uuid AND run.id::text LIKE $4 || '%'`, [
      ...idRange(o.run),
      o.run.toLowerCase(),
    ]);
  const nights = latest ? await select(`purpose = 'night'`, []) : [];
  const rows = !latest ? await byId() : nights.length > 0 ? nights : await select(`purpose <> 'dry-run'`, []);
  if (!rows[0])
    throw new UsageError(
      `there is no run ${latest ? '' : `${o.run} `}${o.job ? `of ${o.job} ` : ''}in this database; nightfill runs lists them`.replace(
        '  ',
        ' ',
      ),
    );
  if (!latest && rows.length > 1)
    throw new UsageError(`"${o.run}" is the beginning of several runs' ids; give more of it`);
  return rows[0];
}

/** The latest run of an instance, which a further run continues. */
export async function latestRunOf(database: Queryable, instance: string): Promise<RunRow | undefined> {
  const { rows } = await database.query<RunRow>(
    `SELECT ${runColumns} FROM nightfill.run WHERE instance = $1 ORDER BY started_at DESC, id DESC LIMIT 1`,
    [instance],
  );
  return rows[0];
}

export async function readInstance(database: Queryable, id: string): Promise<Instance> {
  const { rows } = await database.query<Instance>(`SELECT ${instanceColumns} FROM nightfill.instance WHERE id = $1`, [
    id,
  ]);
  return rows[0]!;
}

/** A plan that `run --again` replaced is not worked on any more: its rows would cover newer ones. Throws UsageError. */
export async function requireLatestPlan(
  database: Queryable,
  { id, job, businessDate }: Instance,
  { jobFile }: Pick<RunRow, 'jobFile'>,
): Promise<void> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.instance AS this JOIN nightfill.instance AS later USING (job, business_date, purpose)
     WHERE this.id = $1 AND later.generation > this.generation LIMIT 1`,
    [id],
  );
  if (rowCount === 0) return;
  throw new UsageError(
    `run --again has planned ${job} anew for ${businessDate} since that run; nightfill run ${jobFile} --date ${businessDate} works on the new plan`,
    { code: 'PLAN_REPLACED' },
  );
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
    `UPDATE nightfill.run SET status = 'crashed', exit_code = 1, finished_at = now(), reason = 'the process ended without a word'
     FROM nightfill.instance
     WHERE instance.id = run.instance AND instance.job = $1 AND run.status = 'running' AND run.id <> $2
     RETURNING run.instance`,
    [o.job, o.run],
  );
  const instances = [o.instance, ...rows.map(({ instance }) => instance)];
  await database.query(`UPDATE nightfill.chunk SET lease = $2 WHERE instance = ANY ($1)`, [instances, o.token]);
  return { crashed: rows.length };
}

/** What is worked on anew may fail, or be held back: until it is closed again, the instance is unfinished. */
export async function reopenInstance(database: Queryable, instance: string): Promise<void> {
  await database.query(`UPDATE nightfill.instance SET status = 'planned' WHERE id = $1 AND status = 'complete'`, [
    instance,
  ]);
}

/** True when every contract of a closed plan stands in the target; the instance is then complete. */
export async function completeInstance(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(
    `UPDATE nightfill.instance SET status = 'complete', completed_at = coalesce(completed_at, now())
     WHERE id = $1 AND status <> 'planning'
       AND NOT EXISTS (SELECT FROM nightfill.chunk WHERE instance = $1 AND status <> 'succeeded')
       AND NOT EXISTS (SELECT FROM nightfill.staged WHERE instance = $1)`,
    [instance],
  );
  return rowCount === 1;
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

/** Says of every chunk that is still not started why the run left it, and from when on it makes sense to try again. */
export async function explainNotStarted(
  database: Queryable,
  o: {
    instance: string;
    token: string;
    /** Those that the run was to work on; all when undefined. */
    chunks: readonly number[] | undefined;
    reason: string;
    after: Date | undefined;
  },
): Promise<void> {
  await database.query(
    `UPDATE nightfill.chunk SET reason = $4, retry_after = $5
     WHERE instance = $1 AND lease = $2 AND status = 'not-started' AND ($3::integer[] IS NULL OR number = ANY ($3))`,
    [o.instance, o.token, o.chunks ?? null, o.reason, o.after ?? null],
  );
}

/**
 * Forgets an instance, its runs and their reports: one that never began, or a dry run's. Its plan and whatever else it
 * has is left for `sweep`, so that this is quick whatever its size.
 */
export async function discardInstance(database: Queryable, instance: string): Promise<void> {
  await database.query(`DELETE FROM nightfill.instance WHERE id = $1`, [instance]);
}

/** Closes a run that ended without a report, unless it is closed or forgotten already. */
export async function abandonRun(database: Queryable, o: { run: string; reason: string }): Promise<void> {
  await database.query(
    `UPDATE nightfill.run SET status = 'failed', exit_code = 1, reason = $2, finished_at = now()
     WHERE id = $1 AND status = 'running'`,
    [o.run, o.reason],
  );
}

/** Forgets a run that did nothing. */
export async function discardRun(database: Queryable, run: string): Promise<void> {
  await database.query(`DELETE FROM nightfill.run WHERE id = $1`, [run]);
}
