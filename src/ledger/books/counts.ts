import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { previousNight } from './previous-night.ts';

/** What an instance's rows say of its contracts, in numbers. */
export interface NightCounts {
  /** The source's own count; null when it gave none. */
  sourceTotal: number | null;
  /** The source's own count was another one on a later page. */
  totalChanged: boolean;
  /** Contracts planned by a listing that was cut off, and not listed when it was begun again. */
  goneMeanwhile: number;
  /** Records listed again under a key that was listed already. */
  duplicates: number;
  listed: number;
  enriched: number;
  degraded: number;
  failed: number;
  notStarted: number;
  inserted: number;
  updated: number;
  unchanged: number;
  /** Rows held back for the switch; null where there are none. */
  heldBack: number | null;
  /** Contracts of the previous night that are not listed in this one. */
  missing: number;
  /** Rows of the target into which contracts were loaded; null for nights begun before the ledger knew them. */
  distinctRows: number | null;
}

export async function readCounts(database: Queryable, instance: string): Promise<NightCounts> {
  const { rows } = await database.query<NightCounts>(
    `SELECT source_total::float8 AS "sourceTotal", total_changed AS "totalChanged", gone_meanwhile AS "goneMeanwhile", duplicates, totals.*, held_back.rows AS "heldBack", missing.missing,
       CASE WHEN knows_rows THEN (SELECT count(*)::integer FROM nightfill.target_row WHERE target_row.instance = instance.id) END
         AS "distinctRows"
     FROM nightfill.instance,
     LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS listed, coalesce(sum(enriched), 0)::integer AS enriched,
         coalesce(sum(degraded), 0)::integer AS degraded, coalesce(sum(failed), 0)::integer AS failed,
         coalesce(sum(contracts) FILTER (WHERE status = 'not-started'), 0)::integer AS "notStarted",
         coalesce(sum(inserted), 0)::integer AS inserted, coalesce(sum(updated), 0)::integer AS updated,
         coalesce(sum(unchanged), 0)::integer AS unchanged
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS totals,
     LATERAL (
       SELECT nullif(count(*), 0)::integer AS rows FROM nightfill.staged WHERE staged.instance = instance.id
     ) AS held_back,
     LATERAL (
       SELECT count(*)::integer AS missing FROM nightfill.contract AS before
       WHERE instance.status <> 'planning' AND before.instance = (${previousNight('instance')})
         AND NOT EXISTS (SELECT FROM nightfill.contract AS now WHERE now.instance = instance.id AND now.key = before.key)
     ) AS missing
     WHERE instance.id = $1`,
    [instance],
  );
  return rows[0]!;
}
