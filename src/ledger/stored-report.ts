import type { Queryable } from '../sinks/postgres/postgres.ts';

/** A report with its digest and that of the job's previous report. */
export interface StoredReport {
  run: string;
  job: string;
  text: string;
  sha256: string;
  previousSha256: string | null;
}

/** The digest of the job's latest report of another run; null without one. */
export async function previousDigest(database: Queryable, o: { job: string; run: string }): Promise<string | null> {
  const { rows } = await database.query<{ sha256: string }>(
    `SELECT sha256 FROM nightfill.report WHERE job = $1 AND run <> $2 ORDER BY created_at DESC, run DESC LIMIT 1`,
    [o.job, o.run],
  );
  return rows[0]?.sha256 ?? null;
}

/** Replaces an earlier report of the same run. */
export async function insertReport(database: Queryable, o: StoredReport): Promise<void> {
  await database.query(
    `INSERT INTO nightfill.report (run, job, body, sha256, previous_sha256) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (run) DO UPDATE SET body = excluded.body, sha256 = excluded.sha256, previous_sha256 = excluded.previous_sha256`,
    [o.run, o.job, o.text, o.sha256, o.previousSha256],
  );
}

/** The stored report of a run, byte for byte as it was written. */
export async function readReport(database: Queryable, run: string): Promise<string | undefined> {
  const { rows } = await database.query<{ body: string }>(`SELECT body FROM nightfill.report WHERE run = $1`, [run]);
  return rows[0]?.body;
}

/** The stored report of the latest run of an instance that has one. */
export async function latestReport(database: Queryable, instance: string): Promise<string | undefined> {
  const { rows } = await database.query<{ body: string }>(
    `SELECT body FROM nightfill.report JOIN nightfill.run ON run.id = report.run
     WHERE run.instance = $1 ORDER BY run.started_at DESC, run.id DESC LIMIT 1`,
    [instance],
  );
  return rows[0]?.body;
}
