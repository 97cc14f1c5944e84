import type { Queryable } from '../sinks/postgres.ts';
import type { SumDefinition } from './figures.ts';
import type { CurrencyAmount, Report } from './schema.ts';

/** Sums per column and currency, computed in SQL from exact digits. */
export async function readAmounts(
  database: Queryable,
  o: { instance: string; sums: readonly SumDefinition[] },
): Promise<Report['amounts']> {
  const all: Report['amounts'] = [];
  for (const sum of o.sums) {
    const { rows } = await database.query<Report['amounts'][number] & { staged: string | null }>(amountsSql, [
      o.instance,
      sum.column,
      sum.listedPath,
      sum.listedByPath,
      sum.by !== null,
    ]);
    all.push(...rows.map(({ staged, ...amount }) => ({ ...amount, ...(staged !== null && { staged }) })));
  }
  return all;
}

const amountsSql = `
  WITH loaded AS (
    SELECT currency, sum(loaded) AS amount FROM nightfill.chunk_amount
    WHERE instance = $1 AND column_name = $2 GROUP BY currency
  ), known AS (
    SELECT known.currency, sum(amount) AS amount, sum(amount) FILTER (WHERE failure.key IS NOT NULL) AS failed,
      sum(amount) FILTER (WHERE staged.key IS NOT NULL) AS staged
    FROM nightfill.contract_amount AS known
    LEFT JOIN nightfill.failure ON failure.instance = known.instance AND failure.key = known.key
    LEFT JOIN nightfill.staged ON staged.instance = known.instance AND staged.key = known.key
    WHERE known.instance = $1 AND known.column_name = $2 GROUP BY known.currency
  ), unstarted AS (
    SELECT CASE WHEN $5 THEN listed #>> $4::text[] END AS currency, sum((listed #>> $3::text[])::numeric) AS amount
    FROM nightfill.contract
    JOIN nightfill.chunk ON chunk.instance = contract.instance AND chunk.number = contract.chunk
    WHERE contract.instance = $1 AND chunk.status = 'not-started'
      AND listed #>> $3::text[] ~ '^[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]{1,3})?$'
    GROUP BY 1
  ), currencies AS (
    SELECT currency FROM loaded UNION SELECT currency FROM known UNION SELECT currency FROM unstarted
  ), figures AS (
    SELECT currencies.currency, coalesce(known.amount, 0) + coalesce(unstarted.amount, 0) AS listed,
      coalesce(loaded.amount, 0) AS loaded, coalesce(known.failed, 0) AS failed,
      coalesce(unstarted.amount, 0) AS unstarted, known.staged,
      coalesce(known.amount, 0) - coalesce(loaded.amount, 0) - coalesce(known.failed, 0) - coalesce(known.staged, 0) AS variance
    FROM currencies
    LEFT JOIN loaded ON loaded.currency IS NOT DISTINCT FROM currencies.currency
    LEFT JOIN known ON known.currency IS NOT DISTINCT FROM currencies.currency
    LEFT JOIN unstarted ON unstarted.currency IS NOT DISTINCT FROM currencies.currency
  )
  SELECT $2::text AS column, currency, round(listed, digits)::text AS listed, round(loaded, digits)::text AS loaded,
    round(failed, digits)::text AS failed, round(unstarted, digits)::text AS "notStarted",
    round(staged, digits)::text AS staged, round(variance, digits)::text AS variance
  -- As many digits as any of them has, so that equal amounts are equal texts.
  FROM figures, LATERAL (SELECT coalesce(greatest(scale(listed), scale(loaded), scale(variance)), 0) AS digits) AS shown
  ORDER BY currency COLLATE "C" NULLS LAST`;

/** How many contracts stand on last known values, per lookup, and how much money. */
export async function readStale(database: Queryable, instance: string): Promise<Report['stale']> {
  const { rows } = await database.query<{ lookup: string; contracts: number; oldestAsOf: string }>(
    `SELECT lookup, count(*)::integer AS contracts,
       to_char(min(as_of) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "oldestAsOf"
     FROM nightfill.stale WHERE instance = $1 GROUP BY lookup ORDER BY lookup COLLATE "C"`,
    [instance],
  );
  const { rows: amounts } = await database.query<CurrencyAmount & { lookup: string }>(
    `SELECT lookup, column_name AS column, currency, sum(amount)::text AS amount
     FROM nightfill.stale JOIN nightfill.contract_amount USING (instance, key)
     WHERE instance = $1 GROUP BY 1, 2, 3 ORDER BY lookup COLLATE "C", column_name COLLATE "C", currency COLLATE "C"`,
    [instance],
  );
  return rows.map((row) => ({
    ...row,
    amounts: amounts.filter(({ lookup }) => lookup === row.lookup).map(({ lookup: _, ...amount }) => amount),
  }));
}

/** How the known amounts moved since an earlier instance; after = before + added - removed + changed. */
export async function readChanges(
  database: Queryable,
  o: { instance: string; previous: string },
): Promise<NonNullable<Report['previous']>['changes']> {
  const { rows } = await database.query<NonNullable<Report['previous']>['changes'][number]>(
    `WITH now AS (SELECT * FROM nightfill.contract_amount WHERE instance = $1),
          was AS (SELECT * FROM nightfill.contract_amount WHERE instance = $2),
          both_times AS (
            SELECT coalesce(now.column_name, was.column_name) AS column_name,
              CASE WHEN now.key IS NULL THEN was.currency ELSE now.currency END AS currency,
              now.key AS now_key, was.key AS was_key, now.amount AS now_amount, was.amount AS was_amount
            FROM now FULL JOIN was
              ON was.key = now.key AND was.column_name = now.column_name AND was.currency IS NOT DISTINCT FROM now.currency
          )
     SELECT column_name AS column, currency,
       coalesce(sum(now_amount) FILTER (WHERE was_key IS NULL), 0)::text AS added,
       coalesce(sum(was_amount) FILTER (WHERE now_key IS NULL), 0)::text AS removed,
       coalesce(sum(now_amount - was_amount), 0)::text AS changed,
       coalesce(sum(was_amount), 0)::text AS before,
       coalesce(sum(now_amount), 0)::text AS after
     FROM both_times GROUP BY 1, 2 ORDER BY column_name COLLATE "C", currency COLLATE "C" NULLS LAST`,
    [o.instance, o.previous],
  );
  return rows;
}
