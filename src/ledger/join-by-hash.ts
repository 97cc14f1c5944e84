import type { Queryable } from '../sinks/postgres/postgres.ts';

/**
 * Lets Postgres join tables by hash for the rest of the transaction. A night that was just written has no statistics, or
 * those of smaller nights: a join of all its contracts with all its failures is then taken for one of a few rows, and
 * compares each with each (80,000 contracts with 8,000 failures: half a minute, and four times that for twice as many).
 */
export async function joinByHash(client: Queryable): Promise<void> {
  await client.query('SET LOCAL enable_nestloop = off');
}
