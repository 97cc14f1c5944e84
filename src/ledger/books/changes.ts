import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { knownAmounts, knownAmountsParameters, type SumDefinition } from './known-amounts.ts';

/** How the money in a column and currency moved between two nights; amounts are decimal numbers. */
export interface AmountChange {
  column: string;
  currency: string | null;
  added: string;
  removed: string;
  changed: string;
  before: string;
  after: string;
  notComparable: { contracts: number; before: string; after: string };
}

/**
 * How the known amounts of one column moved since an earlier night, by currency. A contract is added or removed when it is
 * listed on one of the two only; one that is listed on both, and whose amount is not known on both, cannot be compared.
 * after = before + added - removed + changed - notComparable.before + notComparable.after.
 */
export async function readChanges(
  database: Queryable,
  { instance, previous, sum }: { instance: string; previous: string; sum: SumDefinition },
): Promise<AmountChange[]> {
  const { rows } = await database.query<AmountChange>(changesSql, [
    ...knownAmountsParameters(instance, sum),
    ...knownAmountsParameters(previous, sum),
  ]);
  return rows;
}

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
      'after', round(after_apart, digits)::text) AS "notComparable"
  FROM figures, LATERAL (SELECT greatest(scale(before), scale(after), scale(changed), 0) AS digits) AS shown
  ORDER BY currency COLLATE "C" NULLS LAST`;
