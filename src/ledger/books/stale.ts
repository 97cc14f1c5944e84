import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { rfc3339 } from '../time-text.ts';

/** Contracts that were loaded with a lookup's last known values. */
export interface StaleLookup {
  lookup: string;
  contracts: number;
  /** RFC 3339. */
  oldestAsOf: string;
  amounts: { column: string; currency: string | null; amount: string }[];
}

/** How many contracts stand on last known values, per lookup, and how much money. */
export async function readStale(database: Queryable, instance: string): Promise<StaleLookup[]> {
  const { rows } = await database.query<Omit<StaleLookup, 'amounts'>>(
    `SELECT lookup, count(*)::integer AS contracts, ${rfc3339('min(as_of)')} AS "oldestAsOf"
     FROM nightfill.stale WHERE instance = $1 GROUP BY lookup ORDER BY lookup COLLATE "C"`,
    [instance],
  );
  const { rows: amounts } = await database.query<StaleLookup['amounts'][number] & { lookup: string }>(
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
