import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** A chunk's own counts, beside what the ledger's rows of its contracts add up to. */
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
  heldBack: number;
  failed: number;
  failures: number;
}

/** The first chunks whose own counts differ from the rows of their contracts. */
export async function readUnbalancedChunks(
  database: Queryable,
  { instance, limit }: { instance: string; limit: number },
): Promise<ChunkBalance[]> {
  // Grouped once per table and joined by hash: of tables that were filled tonight there are no statistics.
  const { rows } = await database.query<ChunkBalance>(
    `WITH planned AS (SELECT chunk, count(*)::integer AS n FROM nightfill.contract WHERE instance = $1 GROUP BY 1),
       failures AS (SELECT chunk, count(*)::integer AS n FROM nightfill.failure WHERE instance = $1 GROUP BY 1),
       held_back AS (SELECT chunk, count(*)::integer AS n FROM nightfill.staged WHERE instance = $1 GROUP BY 1),
       standing AS (SELECT chunk, count(*)::integer AS n FROM nightfill.target_row WHERE instance = $1 GROUP BY 1),
       balance AS (
         SELECT number, chunk.status, contracts, coalesce(planned.n, 0) AS planned, enriched + degraded AS loaded,
           CASE WHEN knows_rows THEN coalesce(standing.n, 0) END AS rows, inserted + updated + unchanged AS written,
           coalesce(held_back.n, 0) AS "heldBack", failed, coalesce(failures.n, 0) AS failures
         FROM nightfill.chunk JOIN nightfill.instance ON instance.id = chunk.instance
         LEFT JOIN planned ON planned.chunk = number LEFT JOIN failures ON failures.chunk = number
         LEFT JOIN held_back ON held_back.chunk = number LEFT JOIN standing ON standing.chunk = number
         WHERE chunk.instance = $1
       )
     SELECT * FROM balance
     WHERE contracts <> planned OR failed <> failures OR loaded <> "heldBack" + coalesce(rows, written) OR written <> loaded - "heldBack"
       OR (status = 'not-started' AND loaded + failed <> 0) OR (status <> 'not-started' AND loaded + failed <> contracts)
     ORDER BY number LIMIT $2`,
    [instance, limit],
  );
  return rows;
}
