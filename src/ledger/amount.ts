import type { LoadResult } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readableAmount } from './books/known-amounts.ts';

/** The amount that a source sent for one contract, as text. Postgres reads it; a text that it cannot read counts as unknown. */
export interface KnownAmount {
  column: string;
  /** Null when unknown, and for a loaded contract when it is NULL. */
  amount: string | null;
  currency: string | null;
}

/**
 * Stores the control totals of an attempt: what the sources sent for the contracts in `keys`, and what the target holds.
 * For a job with a transform, the sources' side comes from the amounts stored per contract, not from the transform's rows.
 */
export async function storeAmounts(
  client: Queryable,
  o: {
    number: number;
    attempt: number;
    /** The target has none of the rows yet. */
    heldBack: boolean;
    result: Pick<LoadResult, 'totals'> | undefined;
    keys: readonly string[];
  },
  { instance, independentSums }: { instance: string; independentSums: readonly string[] },
): Promise<void> {
  const totals = o.result?.totals ?? [];
  if (totals.length === 0) return;
  await client.query(
    `WITH loaded AS (
       SELECT * FROM unnest($4::text[], $5::text[], $6::integer[], $7::numeric[], $8::numeric[], $11::integer[])
         AS total (column_name, currency, contracts, sourced, loaded, altered)
     ), said AS (
       SELECT column_name, currency, coalesce(sum(amount), 0) AS sourced FROM nightfill.contract_amount
       WHERE instance = $1 AND key = ANY ($9) AND column_name = ANY ($10) GROUP BY 1, 2
     )
     INSERT INTO nightfill.chunk_amount (instance, chunk, attempt, column_name, currency, contracts, altered, sourced, loaded)
     SELECT $1, $2, $3, coalesce(loaded.column_name, said.column_name), coalesce(loaded.currency, said.currency),
       coalesce(loaded.contracts, 0), coalesce(loaded.altered, 0),
       CASE WHEN coalesce(loaded.column_name, said.column_name) = ANY ($10) THEN coalesce(said.sourced, 0) ELSE loaded.sourced END,
       coalesce(loaded.loaded, 0)
     FROM loaded FULL JOIN said ON said.column_name = loaded.column_name AND said.currency IS NOT DISTINCT FROM loaded.currency`,
    [
      instance,
      o.number,
      o.attempt,
      totals.map((total) => total.column),
      totals.map((total) => total.by),
      totals.map((total) => total.rows),
      totals.map((total) => total.sourced),
      totals.map((total) => (o.heldBack ? '0' : total.loaded)),
      independentSums.length > 0 ? o.keys : [],
      independentSums,
      totals.map((total) => total.altered),
    ],
  );
}

/** Stores the known amounts of each contract, for the comparison with other nights. */
export async function storeContractAmounts(
  client: Queryable,
  {
    number,
    contracts,
  }: { number: number; contracts: readonly { contract: { key: string }; amounts: readonly KnownAmount[] }[] },
  { instance }: { instance: string },
): Promise<void> {
  const known = contracts.flatMap(({ contract, amounts }) =>
    amounts.map((amount) => ({ key: contract.key, ...amount })),
  );
  if (known.length === 0) return;
  await client.query(
    `INSERT INTO nightfill.contract_amount (instance, chunk, key, column_name, currency, amount)
     SELECT $1, $2, key, column_name, currency, ${readableAmount('amount')}
     FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS known (key, column_name, currency, amount)`,
    [
      instance,
      number,
      known.map(({ key }) => key),
      known.map(({ column }) => column),
      known.map(({ currency }) => currency),
      known.map(({ amount }) => amount),
    ],
  );
}
