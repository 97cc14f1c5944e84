/** SQL: a timestamptz as RFC 3339 in UTC with milliseconds. */
export const rfc3339 = (value: string): string =>
  `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** SQL: a date as YYYY-MM-DD. */
export const isoDate = (value: string): string => `to_char(${value}, 'YYYY-MM-DD')`;
