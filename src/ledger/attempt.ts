import type { LoadResult, Row } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { TargetTable } from '../sinks/target/target-table.ts';
import type { Json } from '../sources/json/exact-json.ts';
import { storeAmounts, storeContractAmounts, type KnownAmount } from './amount.ts';
import { storeFailures, type FailureRecord } from './failure.ts';
import { holdBack } from './held-back.ts';
import { storeLastKnown } from './last-known.ts';
import { LeaseLostError } from './lease.ts';
import { rememberRows } from './loaded-row.ts';
import type { PlannedContract } from './planned-contract.ts';
import type { RunIds } from './run-ids.ts';

/** The result of one attempt at a chunk, as the ledger stores it. */
export interface ChunkRecord {
  number: number;
  attempt: number;
  /** The whole chunk was worked on again, so this replaces what earlier attempts recorded. */
  whole: boolean;
  enrichMs: number;
  loadMs: number;
  /** Undefined when Postgres refused the whole chunk. */
  result: LoadResult | undefined;
  /** The rows are held back until the switch; the target has none of them yet. */
  heldBack: boolean;
  loaded: readonly {
    contract: PlannedContract;
    /** Index of the row among those given to the load. */
    ordinal: number;
    row: Row;
    stale: readonly { lookup: string; asOf: string }[];
    remember: readonly { lookup: string; value: Json }[];
    amounts: readonly KnownAmount[];
  }[];
  failed: readonly { contract: PlannedContract; failure: FailureRecord; amounts: readonly KnownAmount[] }[];
}

/** Locks the chunk for this transaction and gives the attempt's number. Throws LeaseLostError when another run has the chunk. */
export async function fenceChunk(
  client: Queryable,
  number: number,
  { job, instance, token }: Pick<RunIds, 'job' | 'instance' | 'token'>,
): Promise<number> {
  const { rows } = await client.query<{ attempts: number }>(
    `SELECT attempts FROM nightfill.chunk WHERE instance = $1 AND number = $2 AND lease = $3 FOR UPDATE`,
    [instance, number, token],
  );
  if (!rows[0]) throw new LeaseLostError(job);
  return rows[0].attempts + 1;
}

/** Whether an attempt whose COMMIT was not acknowledged was committed. Call it under the chunk's lock. */
export async function attemptCommitted(
  client: Queryable,
  record: ChunkRecord,
  { instance, run }: Pick<RunIds, 'instance' | 'run'>,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM nightfill.chunk_attempt WHERE instance = $1 AND chunk = $2 AND attempt = $3 AND run = $4`,
    [instance, record.number, record.attempt, run],
  );
  return rowCount === 1;
}

/** Stores the result of an attempt. Call it in the transaction that loads its rows. */
export async function recordAttempt(
  client: Queryable,
  record: ChunkRecord,
  o: RunIds & {
    target: TargetTable;
    /** Summed columns whose amounts are known from before a transform made the row. */
    independentSums: readonly string[];
    /** Lookups whose answers are stored as last known values. */
    keepLastKnown: readonly string[];
    dryRun: boolean;
  },
): Promise<void> {
  const { job, instance, target } = o;
  await storeFailures(client, record, o);
  await storeStale(client, record, o);
  await storeContractAmounts(client, { number: record.number, contracts: [...record.loaded, ...record.failed] }, o);
  await storeAmounts(client, { ...record, keys: record.loaded.map(({ contract }) => contract.key) }, o);
  if (record.heldBack) await holdBack(client, record, o);
  for (const lookup of o.keepLastKnown) {
    const values = record.loaded.flatMap(({ contract, remember }) =>
      remember.filter((one) => one.lookup === lookup).map(({ value }) => ({ key: contract.key, value })),
    );
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    await storeLastKnown(client, { job, lookup, values });
  }
  if (target.marked && !o.dryRun && !record.heldBack)
    await rememberRows(client, { job, instance, target, loaded: record.loaded });
  await closeAttempt(client, record, o);
}

/** Deletes what earlier attempts recorded of these contracts; other contracts of the plan are not changed. */
export async function forgetAttempts(
  client: Queryable,
  o: { instance: string; number: number; attempt: number; whole: boolean; keys: string[] },
): Promise<void> {
  const { instance } = o;
  if (o.attempt === 1) return;
  for (const table of ['failure', 'stale', 'contract_amount', 'staged', 'target_row'])
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    await client.query(`DELETE FROM nightfill.${table} WHERE instance = $1 AND key = ANY ($2)`, [instance, o.keys]);
  if (o.whole)
    await client.query(`DELETE FROM nightfill.chunk_amount WHERE instance = $1 AND chunk = $2`, [instance, o.number]);
}

async function storeStale(client: Queryable, { number, loaded }: ChunkRecord, { instance }: Pick<RunIds, 'instance'>) {
  const stale = loaded.flatMap(({ contract, stale: lookups }) => lookups.map((one) => ({ key: contract.key, ...one })));
  if (stale.length === 0) return;
  await client.query(
    `INSERT INTO nightfill.stale (instance, chunk, key, lookup, as_of)
     SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::timestamptz[])`,
    [instance, number, stale.map(({ key }) => key), stale.map(({ lookup }) => lookup), stale.map(({ asOf }) => asOf)],
  );
}

async function closeAttempt(client: Queryable, record: ChunkRecord, { instance, run, token, job }: RunIds) {
  const { number, attempt, loaded, failed, whole, enrichMs, loadMs } = record;
  const result = record.heldBack ? undefined : record.result;
  const degraded = loaded.filter(({ stale }) => stale.length > 0).length;
  const enriched = loaded.length - degraded;
  const counts = [enriched, degraded, result?.inserted ?? 0, result?.updated ?? 0, result?.unchanged ?? 0];
  await client.query(
    `INSERT INTO nightfill.chunk_attempt (instance, chunk, attempt, run, enriched, degraded, inserted, updated, unchanged,
       contracts, failed, digest, enrich_ms, load_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      instance,
      number,
      attempt,
      run,
      ...counts,
      loaded.length + failed.length,
      failed.length,
      result?.digest ?? null,
      Math.round(enrichMs),
      Math.round(loadMs),
    ],
  );
  // Attempts load disjoint contracts, so their figures are added; an attempt at the whole chunk replaces them.
  const { rowCount } = await client.query(
    `WITH now AS (
       SELECT (SELECT count(*) FROM nightfill.failure WHERE instance = $1 AND chunk = $2)::integer AS failed
     )
     UPDATE nightfill.chunk SET
       attempts = $4,
       enriched = CASE WHEN $5 THEN 0 ELSE enriched END + $6,
       degraded = CASE WHEN $5 THEN 0 ELSE degraded END + $7,
       inserted = CASE WHEN $5 THEN 0 ELSE inserted END + $8,
       updated = CASE WHEN $5 THEN 0 ELSE updated END + $9,
       unchanged = CASE WHEN $5 THEN 0 ELSE unchanged END + $10,
       failed = now.failed,
       reason = NULL,
       retry_after = NULL,
       status = CASE WHEN now.failed = 0 THEN 'succeeded' WHEN now.failed = contracts THEN 'failed' ELSE 'partial' END,
       duration_ms = duration_ms + $11,
       digest = CASE
         WHEN $5 OR digest IS NULL THEN $12
         WHEN $12::text IS NULL THEN digest
         ELSE encode(sha256(convert_to(digest || $12, 'UTF8')), 'hex')
       END
     FROM now
     WHERE chunk.instance = $1 AND number = $2 AND lease = $3`,
    [instance, number, token, attempt, whole, ...counts, Math.round(enrichMs + loadMs), result?.digest ?? null],
  );
  if (rowCount !== 1) throw new LeaseLostError(job);
}
