import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** What a chunk says of its contracts, beside what the ledger's rows of those contracts say. */
export interface ChunkBalance {
  number: number;
  status: string;
  contracts: number;
  planned: number;
  loaded: number;
  /** Rows of the target that its contracts were loaded into; null for nights begun before the ledger knew them. */
  rows: number | null;
  written: number;
  /** Held back for the switch. */
  held: number;
  failed: number;
  failures: number;
}

/** The first chunks that say something else of themselves than the rows of their contracts do. */
export async function readUnbalancedChunks(
  database: Queryable,
  { instance, limit }: { instance: string; limit: number },
): Promise<ChunkBalance[]> {
  // Grouped once per table and joined by hash: of tables that were filled tonight there are no statistics.
  const { rows } = await database.query<ChunkBalance>(
    `WITH planned AS (SELECT chunk, count(*)::integer AS n FROM nightfill.contract WHERE instance = $1 GROUP BY 1),
       failures AS (SELECT chunk, count(*)::integer AS n FROM nightfill.failure WHERE instance = $1 GROUP BY 1),
       held AS (SELECT chunk, count(*)::integer AS n FROM nightfill.staged WHERE instance = $1 GROUP BY 1),
       standing AS (SELECT chunk, count(*)::integer AS n FROM nightfill.target_row WHERE instance = $1 GROUP BY 1),
       balance AS (
         SELECT number, chunk.status, contracts, coalesce(planned.n, 0) AS planned, enriched + degraded AS loaded,
           CASE WHEN knows_rows THEN coalesce(standing.n, 0) END AS rows, inserted + updated + unchanged AS written,
           coalesce(held.n, 0) AS held, failed, coalesce(failures.n, 0) AS failures
         FROM nightfill.chunk JOIN nightfill.instance ON instance.id = chunk.instance
         LEFT JOIN planned ON planned.chunk = number LEFT JOIN failures ON failures.chunk = number
         LEFT JOIN held ON held.chunk = number LEFT JOIN standing ON standing.chunk = number
         WHERE chunk.instance = $1
       )
     SELECT * FROM balance
     WHERE contracts <> planned OR failed <> failures OR loaded <> held + coalesce(rows, written) OR written <> loaded - held
       OR (status = 'not-started' AND loaded + failed <> 0) OR (status <> 'not-started' AND loaded + failed <> contracts)
     ORDER BY number LIMIT $2`,
    [instance, limit],
  );
  return rows;
}
