import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { knownAmounts, knownAmountsParameters, type SumDefinition } from './known-amounts.ts';

/** What became of the money in a column and currency; amounts are decimal numbers. */
export interface BookedAmountRow {
  column: string;
  currency: string | null;
  listed: string;
  loaded: string;
  failed: string;
  notStarted: string;
  /** Held back for the switch; null where nothing is. */
  heldBack: string | null;
  /** listed - loaded - failed - notStarted - heldBack. */
  variance: string;
  /** Contracts whose amount nobody said. */
  unknown: { failed: number; notStarted: number };
  /** The first chunks whose own amounts do not add up. */
  chunksOff: number[];
}

/** An instance's amounts in one column by currency, summed by Postgres from exact digits. */
export async function readAmounts(
  database: Queryable,
  { instance, sum }: { instance: string; sum: SumDefinition },
): Promise<BookedAmountRow[]> {
  const { rows } = await database.query<BookedAmountRow>(amountsSql, knownAmountsParameters(instance, sum));
  return rows;
}

const amountsSql = `
  WITH known AS (${knownAmounts(1)}
  ), lines AS (
    SELECT chunk, currency, 0 AS listed, sum(loaded) AS loaded, 0 AS failed, 0 AS unstarted, NULL AS held_back,
      0 AS unknown_failed, 0 AS unknown_unstarted
    FROM nightfill.chunk_amount WHERE instance = $1 AND column_name = $2 GROUP BY 1, 2
    UNION ALL
    SELECT known.chunk, currency, coalesce(sum(amount), 0), 0, coalesce(sum(amount) FILTER (WHERE failure.key IS NOT NULL), 0),
      coalesce(sum(amount) FILTER (WHERE NOT started), 0), sum(amount) FILTER (WHERE staged.key IS NOT NULL),
      count(*) FILTER (WHERE failure.key IS NOT NULL AND amount IS NULL), count(*) FILTER (WHERE NOT started AND amount IS NULL)
    FROM known
    LEFT JOIN nightfill.failure ON failure.instance = $1 AND failure.key = known.key
    LEFT JOIN nightfill.staged ON staged.instance = $1 AND staged.key = known.key
    GROUP BY 1, 2
  ), chunks AS (
    SELECT chunk, currency, sum(listed) AS listed, sum(loaded) AS loaded, sum(failed) AS failed, sum(unstarted) AS unstarted,
      sum(held_back) AS held_back, sum(unknown_failed) AS unknown_failed, sum(unknown_unstarted) AS unknown_unstarted,
      sum(listed) - sum(loaded) - sum(failed) - sum(unstarted) - coalesce(sum(held_back), 0) AS variance
    FROM lines GROUP BY 1, 2
  ), figures AS (
    SELECT currency, sum(listed) AS listed, sum(loaded) AS loaded, sum(failed) AS failed, sum(unstarted) AS unstarted,
      sum(held_back) AS held_back, sum(variance) AS variance, sum(unknown_failed)::integer AS unknown_failed,
      sum(unknown_unstarted)::integer AS unknown_unstarted,
      (coalesce(array_agg(chunk ORDER BY chunk) FILTER (WHERE variance <> 0), '{}'))[1:5] AS chunks_off
    FROM chunks GROUP BY 1
  )
  SELECT $2::text AS column, currency, round(listed, digits)::text AS listed, round(loaded, digits)::text AS loaded,
    round(failed, digits)::text AS failed, round(unstarted, digits)::text AS "notStarted",
    round(held_back, digits)::text AS "heldBack", round(variance, digits)::text AS variance,
    json_build_object('failed', unknown_failed, 'notStarted', unknown_unstarted) AS unknown, to_json(chunks_off) AS "chunksOff"
  -- As many digits as any of them has, so that equal amounts are equal texts.
  FROM figures, LATERAL (SELECT coalesce(greatest(scale(listed), scale(loaded), scale(variance)), 0) AS digits) AS shown
  ORDER BY currency COLLATE "C" NULLS LAST`;
