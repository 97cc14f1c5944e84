/** A summed column, and where the listing's record shows the amount and what splits it. */
export interface SumDefinition {
  column: string;
  by: string | null;
  listedPath: string[] | null;
  listedByPath: string[] | null;
  /** `by` is a `char(n)`, whose trailing blanks mean nothing. */
  byIsPadded: boolean;
  /** The amounts are known from before a transform. */
  independent: boolean;
}

/**
 * SQL: the amount in a text, NULL when there is none. The only parser of amounts that no column has parsed: Postgres's own,
 * without what has no sum (NaN, Infinity) and what only newer versions accept (0x1F, 1_000).
 */
export const readableAmount = (text: string): string =>
  `CASE WHEN length(${text}) <= 100000 AND ${text} ~ '^\\s*[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]{1,3})?\\s*$' THEN ${text}::numeric END`;

/**
 * SQL: what is known of each contract's amount: chunk, key, currency, amount (NULL: nobody said it, or it is NULL) and
 * `started`. Its parameters are `knownAmountsParameters`, from `$first` on.
 */
export const knownAmounts = (first: number): string => {
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

/** The values of `knownAmounts`' parameters. */
export const knownAmountsParameters = (instance: string, sum: SumDefinition): unknown[] => [
  instance,
  sum.column,
  sum.listedPath,
  sum.listedByPath,
  sum.byIsPadded,
];
