/**
 * SQL: the amount that a text says, NULL when it says none. The one reading of amounts that no column has read: Postgres's
 * own, without what has no sum (NaN, Infinity) and what only newer versions read (0x1F, 1_000).
 */
export const readableAmount = (text: string): string =>
  `CASE WHEN length(${text}) <= 100000 AND ${text} ~ '^\\s*[-+]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][-+]?[0-9]{1,3})?\\s*$' THEN ${text}::numeric END`;
