import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** Two amounts and how far they may be apart; all are decimal numbers. */
export interface AmountComparison {
  expected: string;
  actual: string;
  absolute: string;
  share: string;
  /** What the share is taken of. */
  base: string;
  /** A difference of exactly the share is too much. */
  exclusive: boolean;
}

/** Compared by Postgres, whose numbers are exact: `actual - expected`, and whether that is within the tolerance. */
export async function compareAmounts(
  database: Queryable,
  comparisons: readonly AmountComparison[],
): Promise<{ delta: string; within: boolean }[]> {
  if (comparisons.length === 0) return [];
  // NaN is within nothing: Postgres takes it for greater than all numbers.
  const { rows } = await database.query<{ delta: string; within: boolean }>(
    `SELECT (actual - expected)::text AS delta,
       abs(actual - expected) <= absolute OR abs(actual - expected) < share * abs(base)
         OR (NOT exclusive AND abs(actual - expected) <= share * abs(base)) AS within
     FROM unnest($1::numeric[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[], $6::boolean[])
       WITH ORDINALITY AS control (expected, actual, base, absolute, share, exclusive, position) ORDER BY position`,
    [
      comparisons.map(({ expected }) => expected),
      comparisons.map(({ actual }) => actual),
      comparisons.map(({ base }) => base),
      comparisons.map(({ absolute }) => absolute),
      comparisons.map(({ share }) => share),
      comparisons.map(({ exclusive }) => exclusive),
    ],
  );
  return rows;
}
