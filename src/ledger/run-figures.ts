import type { Queryable } from '../sinks/postgres/postgres.ts';

/** Stores with a run what only its process knew, as JSON. */
export async function storeFigures(database: Queryable, run: string, figures: object): Promise<void> {
  await database.query(`UPDATE nightfill.run SET figures = $2, finished_at = now() WHERE id = $1`, [
    run,
    JSON.stringify(figures),
  ]);
}
