import { UsageError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { runColumns, type RunRow } from './run.ts';
import { idRange, isIdBeginning } from './id-beginning.ts';

/**
 * The run that `latest` or an id (or its unambiguous beginning) names. `latest` is a night's where there is any, else a
 * sample's. Throws UsageError.
 */
export async function findRun(database: Queryable, o: { run: string; job?: string }): Promise<RunRow> {
  const latest = o.run === 'latest';
  if (!latest && !isIdBeginning(o.run))
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
      `there is no run ${latest ? '' : `${o.run} `}${o.job ? `of ${o.job} ` : ''}in this database; nightfill runs lists them`,
    );
  if (!latest && rows.length > 1) throw ambiguousRun(o.run);
  return rows[0];
}

export const ambiguousRun = (beginning: string): UsageError =>
  new UsageError(`"${beginning}" is the beginning of several runs' ids; give more of it`);
