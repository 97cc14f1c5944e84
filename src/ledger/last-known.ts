import type { Queryable } from '../sinks/postgres/postgres.ts';
import { parseExactJson, type Json } from '../sources/json/exact-json.ts';
import { rfc3339 } from './time-text.ts';

export interface LastKnown {
  value: Json;
  /** RFC 3339. */
  asOf: string;
}

/** The last value stored for a contract's lookup, unless it is older than `maxAge` milliseconds. */
export async function readLastKnown(
  database: Queryable,
  o: { job: string; lookup: string; key: string; maxAge: number },
): Promise<LastKnown | undefined> {
  const { rows } = await database.query<{ value: string; asOf: string }>(
    `SELECT value::text AS value, ${rfc3339('as_of')} AS "asOf"
     FROM nightfill.last_known
     WHERE job = $1 AND lookup = $2 AND key = $3 AND ($4::float8 = 'Infinity' OR as_of >= now() - make_interval(secs => $4))`,
    [o.job, o.lookup, o.key, o.maxAge === Infinity ? 'Infinity' : o.maxAge / 1_000],
  );
  const row = rows[0];
  return row && { value: parseExactJson(row.value), asOf: row.asOf };
}

/** Stores answers as the last known values of their contracts; part of the chunk's transaction. */
export async function storeLastKnown(
  client: Queryable,
  o: { job: string; lookup: string; values: readonly { key: string; value: Json }[] },
): Promise<void> {
  const storable = o.values
    .map(({ key, value }) => ({ key, text: JSON.stringify(value) }))
    .filter(({ text }) => isStorableJson(text));
  if (storable.length === 0) return;
  await client.query(
    `INSERT INTO nightfill.last_known (job, lookup, key, value, as_of)
     SELECT $1, $2, key, value::jsonb, now() FROM unnest($3::text[], $4::text[]) AS given (key, value) ORDER BY key
     ON CONFLICT (job, lookup, key) DO UPDATE SET value = excluded.value, as_of = excluded.as_of`,
    [o.job, o.lookup, storable.map(({ key }) => key), storable.map(({ text }) => text)],
  );
}

/** False for JSON that jsonb refuses: an escaped NUL or lone surrogate. Sorts out a few it would take, never one too few. */
export function isStorableJson(text: string): boolean {
  return !/\\u(0000|d[89a-f])/i.test(text);
}
