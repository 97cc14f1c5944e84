import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Queryable } from '../sinks/postgres/postgres.ts';

/** Stores with a run where its report file was written, so that a rerun from another folder replaces that file. */
export async function keepReportPlace(database: Queryable, run: string, file: string): Promise<void> {
  await database.query(
    `UPDATE nightfill.run SET figures = (figures::jsonb || jsonb_build_object('reportFile', $2::text))::json
     WHERE id = $1 AND figures IS NOT NULL`,
    [run, resolve(file)],
  );
}

/**
 * The file that the runs of an instance, reruns aside, last wrote their report to; undefined where its folder is not on
 * this machine.
 */
export async function reportPlaceOf(database: Queryable, instance: string): Promise<string | undefined> {
  const { rows } = await database.query<{ file: string }>(
    `SELECT figures->>'reportFile' AS file FROM nightfill.run
     WHERE instance = $1 AND mode <> 'rerun' AND figures->>'reportFile' IS NOT NULL
     ORDER BY started_at DESC, id DESC LIMIT 1`,
    [instance],
  );
  const file = rows[0]?.file;
  if (file === undefined) return undefined;
  const folder = await stat(dirname(file)).catch(() => undefined);
  return folder?.isDirectory() ? file : undefined;
}
