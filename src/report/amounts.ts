import { readableAmount } from '../ledger/readable-amount.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { SumDefinition } from './figures.ts';
import type { CurrencyAmount, Report } from './schema.ts';

/**
 * SQL: what is known of each contract's amount: chunk, key, currency, amount (NULL: nobody said it, or it is NULL) and
 * `started`. Parameters from `first` on: instance, column, path and path of the currency in the listing, whether the
 * currency is padded.
 */
const knownAmounts = (first: number): string => {
  const [instance, column, path, byPath, padded] = [0, 1, 2, 3, 4].map((offset) => `$${first + offset}`);
  return `
    SELECT chunk, key, currency, amount, true AS started
    FROM nightfill.contract_amount WHERE instance = ${instance} AND column_name = ${column}
    UNION ALL
    SELECT chunk, key, NULL, NULL, true FROM nightfill.failure
    WHERE instance = ${instance} AND NOT EXISTS (SELECT FROM nightfill.contract_amount AS said
      WHERE said.instance = ${instance} AND said.key = failure.key AND said.column_name = ${column})
    UNION ALL
    SELECT chunk, key, CASE WHEN ${padded}::boolean THEN rtrim(by, ' ') ELSE by END, ${readableAmount('amount')}, false
    FROM (
      SELECT contract.chunk, contract.key, listed #>> ${path}::text[] AS amount, listed #>> ${byPath}::text[] AS by
      FROM nightfill.contract JOIN nightfill.chunk ON chunk.instance = contract.instance AND chunk.number = contract.chunk
      WHERE contract.instance = ${instance} AND chunk.status = 'not-started'
    ) AS waiting`;
};

const parametersOf = (sum: SumDefinition, instance: string): unknown[] => [
  instance,
  sum.column,
  sum.listedPath,
  sum.listedByPath,
  sum.byIsPadded,
];

/** An amount of the books, and the first chunks whose own amounts do not add up. */
export type BookedAmount = Report['amounts'][number] & { chunksOff: number[] };

/** Sums per column and currency, computed in SQL from exact digits. */
export async function readAmounts(
  database: Queryable,
  o: { instance: string; sums: readonly SumDefinition[] },
): Promise<BookedAmount[]> {
  const all: BookedAmount[] = [];
  for (const sum of o.sums) {
    const { rows } = await database.query<BookedAmount & { staged: string | null }>(
      amountsSql,
      parametersOf(sum, o.instance),
    );
    all.push(...rows.map(({ staged, ...amount }) => ({ ...amount, ...(staged !== null && { staged }) })));
  }
  return all;
}

const amountsSql = `
  WITH known AS (${knownAmounts(1)}
  ), lines AS (
    SELECT chunk, currency, 0 AS listed, sum(loaded) AS loaded, 0 AS failed, 0 AS unstarted, NULL AS staged,
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
      sum(staged) AS staged, sum(unknown_failed) AS unknown_failed, sum(unknown_unstarted) AS unknown_unstarted,
      sum(listed) - sum(loaded) - sum(failed) - sum(unstarted) - coalesce(sum(staged), 0) AS variance
    FROM lines GROUP BY 1, 2
  ), figures AS (
    SELECT currency, sum(listed) AS listed, sum(loaded) AS loaded, sum(failed) AS failed, sum(unstarted) AS unstarted,
      sum(staged) AS staged, sum(variance) AS variance, sum(unknown_failed)::integer AS unknown_failed,
      sum(unknown_unstarted)::integer AS unknown_unstarted,
      (coalesce(array_agg(chunk ORDER BY chunk) FILTER (WHERE variance <> 0), '{}'))[1:5] AS chunks_off
    FROM chunks GROUP BY 1
  )
  SELECT $2::text AS column, currency, round(listed, digits)::text AS listed, round(loaded, digits)::text AS loaded,
    round(failed, digits)::text AS failed, round(unstarted, digits)::text AS "notStarted",
    round(staged, digits)::text AS staged, round(variance, digits)::text AS variance,
    json_build_object('failed', unknown_failed, 'notStarted', unknown_unstarted) AS unknown, to_json(chunks_off) AS "chunksOff"
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
    `SELECT lookup, column_name AS column, currency, coalesce(sum(amount), 0)::text AS amount
     FROM nightfill.stale JOIN nightfill.contract_amount USING (instance, key)
     WHERE instance = $1 GROUP BY 1, 2, 3 ORDER BY lookup COLLATE "C", column_name COLLATE "C", currency COLLATE "C"`,
    [instance],
  );
  return rows.map((row) => ({
    ...row,
    amounts: amounts.filter(({ lookup }) => lookup === row.lookup).map(({ lookup: _, ...amount }) => amount),
  }));
}

type Previous = NonNullable<Report['previous']>;
type Comparison = Pick<Previous, 'changes' | 'notComparable'>;

/**
 * How the known amounts moved since an earlier night. A contract is added or removed when it is listed on one of the two
 * only; one that is listed on both, and whose amount is not known on both, cannot be compared.
 * after = before + added - removed + changed - notComparable.before + notComparable.after.
 */
export async function readChanges(
  database: Queryable,
  o: { instance: string; previous: string; sums: readonly SumDefinition[] },
): Promise<Comparison> {
  const all: Comparison = { changes: [], notComparable: [] };
  for (const sum of o.sums) {
    const { rows } = await database.query<Comparison['changes'][number] & { others: Others }>(changesSql, [
      ...parametersOf(sum, o.instance),
      ...parametersOf(sum, o.previous),
    ]);
    for (const { others, ...change } of rows) {
      all.changes.push(change);
      const { column, currency } = change;
      if (others.contracts > 0) all.notComparable.push({ column, currency, ...others });
    }
  }
  return all;
}

type Others = Omit<Comparison['notComparable'][number], 'column' | 'currency'>;

const changesSql = `
  WITH now AS (${knownAmounts(1)}
  ), was AS (${knownAmounts(6)}
  ), pairs AS (
    SELECT now.key IS NOT NULL AS is_now, was.key IS NOT NULL AS is_was, now.currency AS now_currency,
      was.currency AS was_currency, now.amount AS now_amount, was.amount AS was_amount,
      now.key = was.key AND (now.amount IS NULL OR was.amount IS NULL) AS apart
    FROM now FULL JOIN was ON was.key = now.key
  ), sides AS (
    SELECT side.* FROM pairs, LATERAL (VALUES
      (is_now, now_amount IS NOT NULL, now_currency, 0, coalesce(now_amount, 0), CASE WHEN is_was THEN 0 ELSE now_amount END, 0,
        CASE WHEN is_was AND NOT apart THEN now_amount END, 0, CASE WHEN apart THEN now_amount END,
        apart AND was_amount IS NULL),
      (is_was, was_amount IS NOT NULL, was_currency, coalesce(was_amount, 0), 0, 0, CASE WHEN is_now THEN 0 ELSE was_amount END,
        CASE WHEN is_now AND NOT apart THEN -was_amount END, CASE WHEN apart THEN was_amount END, 0,
        apart AND was_amount IS NOT NULL)
    ) AS side (listed, known, currency, before, after, added, removed, changed, before_apart, after_apart, is_apart)
    WHERE side.listed AND (side.known OR side.is_apart)
  ), figures AS (
    SELECT currency, sum(before) AS before, sum(after) AS after, coalesce(sum(added), 0) AS added,
      coalesce(sum(removed), 0) AS removed, coalesce(sum(changed), 0) AS changed,
      coalesce(sum(before_apart), 0) AS before_apart, coalesce(sum(after_apart), 0) AS after_apart,
      count(*) FILTER (WHERE is_apart)::integer AS contracts
    FROM sides GROUP BY 1
  )
  SELECT $2::text AS column, currency, round(added, digits)::text AS added, round(removed, digits)::text AS removed,
    round(changed, digits)::text AS changed, round(before, digits)::text AS before, round(after, digits)::text AS after,
    json_build_object('contracts', contracts, 'before', round(before_apart, digits)::text,
      'after', round(after_apart, digits)::text) AS others
  FROM figures, LATERAL (SELECT greatest(scale(before), scale(after), scale(changed), 0) AS digits) AS shown
  ORDER BY currency COLLATE "C" NULLS LAST`;
