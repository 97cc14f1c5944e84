import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { WorkSelection } from './planned-contract.ts';
import type { RunIds } from './run-ids.ts';
import { storeContracts, type ListedContract } from './store-contracts.ts';

/** Stores a chunk of the plan; gives how many of its contracts were not planned already. */
export async function storeChunk(
  client: Queryable,
  { number, contracts }: { number: number; contracts: readonly ListedContract[] },
  { instance, token }: Pick<RunIds, 'instance' | 'token'>,
): Promise<number> {
  // Only this run assigns numbers, so a number that exists is this same chunk, whose COMMIT was not acknowledged. The insert
  // comes first, because it waits for a COMMIT in progress.
  const { rowCount } = await client.query(
    `INSERT INTO nightfill.chunk (instance, number, lease, contracts) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
    [instance, number, token, contracts.length],
  );
  if (rowCount === 0) {
    const before = await client.query<{ contracts: number }>(
      `SELECT contracts FROM nightfill.chunk WHERE instance = $1 AND number = $2`,
      [instance, number],
    );
    return before.rows[0]!.contracts;
  }
  const stored = await storeContracts(client, { instance, number }, contracts);
  await client.query(
    stored === 0
      ? `DELETE FROM nightfill.chunk WHERE instance = $1 AND number = $2 AND $3 = 0`
      : `UPDATE nightfill.chunk SET contracts = $3 WHERE instance = $1 AND number = $2`,
    [instance, number, stored],
  );
  return stored;
}

/**
 * Moves the contracts in `keys`, which were not started because an API rests, into a new chunk. Call it in the transaction
 * that loads the others of their chunk.
 */
export async function splitChunk(
  client: Queryable,
  o: { from: number; to: number; keys: readonly string[] },
  { instance, token }: Pick<RunIds, 'instance' | 'token'>,
): Promise<void> {
  await client.query(`INSERT INTO nightfill.chunk (instance, number, lease, contracts) VALUES ($1, $2, $3, $4)`, [
    instance,
    o.to,
    token,
    o.keys.length,
  ]);
  await client.query(`UPDATE nightfill.contract SET chunk = $2 WHERE instance = $1 AND key = ANY ($3)`, [
    instance,
    o.to,
    o.keys,
  ]);
  await client.query(`UPDATE nightfill.chunk SET contracts = contracts - $3 WHERE instance = $1 AND number = $2`, [
    instance,
    o.from,
    o.keys.length,
  ]);
}

/** Marks the plan as whole, and stores the figures of its listing. */
export async function closePlan(
  client: Queryable,
  instance: string,
  o: {
    /** Records of the listing, those that came twice included. */
    records: number;
    sourceTotal: string | undefined;
    /** The source's own count changed during the listing. */
    totalChanged: boolean;
    /** The listing was not limited, so this is not a sample. */
    whole: boolean;
  },
): Promise<void> {
  await client.query(
    `UPDATE nightfill.instance SET status = 'planned', source_total = $2, total_changed = $4,
         gone_meanwhile = CASE WHEN $5 THEN greatest(0, (SELECT count(*) FROM nightfill.contract WHERE instance = $1) - $3) ELSE 0 END,
         listed = (SELECT count(*) FROM nightfill.contract WHERE instance = $1),
         duplicates = greatest(0, $3 - (SELECT count(*) FROM nightfill.contract WHERE instance = $1))
       WHERE id = $1`,
    [instance, o.sourceTotal ?? null, o.records, o.totalChanged, o.whole],
  );
}

/** The number of the last chunk stored so far; 0 when there is none. */
export async function lastChunk(database: Queryable, instance: string): Promise<number> {
  const { rows } = await database.query<{ last: number }>(
    `SELECT coalesce(max(number), 0) AS last FROM nightfill.chunk WHERE instance = $1`,
    [instance],
  );
  return rows[0]!.last;
}

/** How far a plan has been worked on, before a run continues it. */
export interface PlanCounts {
  chunks: number;
  chunksLoaded: number;
  contracts: number;
  /** Contracts enriched or degraded. */
  loaded: number;
}

export async function countPlanned(
  database: Queryable,
  instance: string,
  { chunks }: Pick<WorkSelection, 'chunks'>,
): Promise<PlanCounts> {
  const { rows } = await database.query<PlanCounts>(
    `SELECT coalesce(sum(contracts), 0)::integer AS contracts, coalesce(sum(enriched + degraded), 0)::integer AS loaded,
       count(*)::integer AS chunks, (count(*) FILTER (WHERE status = 'succeeded'))::integer AS "chunksLoaded"
     FROM nightfill.chunk WHERE instance = $1 AND ($2::integer[] IS NULL OR number = ANY ($2))`,
    [instance, chunks ?? null],
  );
  return rows[0]!;
}
