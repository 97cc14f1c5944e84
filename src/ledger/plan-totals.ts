import type { Queryable } from '../sinks/postgres/postgres.ts';

/** What is planned of an instance and what of that is loaded, in contracts. */
export interface PlanTotals {
  /** The source's own count; null when it gave none. */
  sourceTotal: string | null;
  planned: number;
  loaded: number;
}

export async function readPlanTotals(database: Queryable, instance: string): Promise<PlanTotals> {
  const { rows } = await database.query<PlanTotals>(
    `SELECT source_total::text AS "sourceTotal", chunks.*
     FROM nightfill.instance, LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS planned, coalesce(sum(enriched + degraded), 0)::integer AS loaded
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS chunks WHERE id = $1`,
    [instance],
  );
  return rows[0]!;
}

/** The keys of contracts that were worked on and did not fail. */
export async function readLoadedKeys(database: Queryable, instance: string): Promise<Set<string>> {
  const { rows } = await database.query<{ key: string }>(
    // Looked up by index for each contract, and not joined: see readChunk.
    `SELECT key FROM nightfill.contract
     WHERE instance = $1
       AND (SELECT status FROM nightfill.chunk WHERE chunk.instance = $1 AND number = contract.chunk) <> 'not-started'
       AND (SELECT true FROM nightfill.failure WHERE failure.instance = $1 AND failure.key = contract.key) IS NULL`,
    [instance],
  );
  return new Set(rows.map(({ key }) => key));
}
