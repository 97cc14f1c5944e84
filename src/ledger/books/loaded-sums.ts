import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** The money of the contracts loaded, in a column and currency; sums are decimal numbers. */
export interface LoadedSum {
  column: string;
  currency: string | null;
  /** By the digits that the sources sent. */
  sourced: string;
  /** As it was read back from the target. */
  loaded: string;
  /** Contracts whose amount was read back as another one than was sent. */
  altered: number;
}

/** Per summed column and currency, both added up by Postgres. */
export async function readLoadedSums(database: Queryable, instance: string): Promise<LoadedSum[]> {
  const { rows } = await database.query<LoadedSum>(
    `SELECT column_name AS column, currency, sum(sourced)::text AS sourced, sum(loaded)::text AS loaded,
       sum(altered)::integer AS altered
     FROM nightfill.chunk_amount WHERE instance = $1
     GROUP BY 1, 2 ORDER BY column_name COLLATE "C", currency COLLATE "C" NULLS LAST`,
    [instance],
  );
  return rows;
}
