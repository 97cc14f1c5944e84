import type { LoadResult, Row } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Json } from '../sources/json/exact-json.ts';
import { readableAmount } from '../ledger/books/known-amounts.ts';
import { sumDefinitions, type KnownAmount } from './load/amounts.ts';
import type { FailureRecord } from './load/failure-record.ts';
import { storeLastKnown } from '../ledger/last-known.ts';
import { LeaseLostError } from '../ledger/lease.ts';
import { rememberRows } from '../ledger/loaded-row.ts';
import { storeStaged } from './load/staging.ts';
import type { PlannedContract } from './plan/list-contracts.ts';
import type { RunContext } from './run/run-context.ts';

/** What one attempt at a chunk brought, as the ledger keeps it. */
export interface ChunkRecord {
  number: number;
  attempt: number;
  /** The whole chunk was worked on anew: what earlier attempts recorded is replaced. */
  whole: boolean;
  enrichMs: number;
  loadMs: number;
  /** Undefined when Postgres refused the whole chunk. */
  result: LoadResult | undefined;
  /** The rows are held back until the whole night switches; the target has none of them yet. */
  staged: boolean;
  loaded: readonly {
    contract: PlannedContract;
    /** Where the row stood among those given to the load. */
    ordinal: number;
    row: Row;
    stale: readonly { lookup: string; asOf: string }[];
    remember: readonly { lookup: string; value: Json }[];
    amounts: readonly KnownAmount[];
  }[];
  failed: readonly { contract: PlannedContract; failure: FailureRecord; amounts: readonly KnownAmount[] }[];
}

/** Locks the chunk for this transaction and gives the attempt's number. Throws LeaseLostError when another run has it. */
export async function fenceChunk(
  client: Queryable,
  { number, context }: { number: number; context: RunContext },
): Promise<number> {
  const { rows } = await client.query<{ attempts: number }>(
    `SELECT attempts FROM nightfill.chunk WHERE instance = $1 AND number = $2 AND lease = $3 FOR UPDATE`,
    [context.instance, number, context.token],
  );
  if (!rows[0]) throw new LeaseLostError(context.job.name);
  return rows[0].attempts + 1;
}

/** True when an attempt whose COMMIT was not acknowledged has been committed; asked under the chunk's lock. */
export async function attemptCommitted(
  client: Queryable,
  record: ChunkRecord,
  { instance, run }: RunContext,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM nightfill.chunk_attempt WHERE instance = $1 AND chunk = $2 AND attempt = $3 AND run = $4`,
    [instance, record.number, record.attempt, run],
  );
  return rowCount === 1;
}

/** Writes what an attempt brought, in the transaction that loads its rows. */
export async function recordAttempt(client: Queryable, record: ChunkRecord, context: RunContext): Promise<void> {
  await storeFailures(client, record, context);
  await storeStale(client, record, context);
  await storeContractAmounts(client, record, context);
  await storeAmounts(client, { ...record, keys: record.loaded.map(({ contract }) => contract.key) }, context);
  if (record.staged) await storeStaged(client, record, context);
  for (const { name, onFailure } of context.job.lookups) {
    if (onFailure !== 'last-known' || context.dryRun) continue;
    const values = record.loaded.flatMap(({ contract, remember }) =>
      remember.filter(({ lookup }) => lookup === name).map(({ value }) => ({ key: contract.key, value })),
    );
    await storeLastKnown(client, { job: context.job.name, lookup: name, values });
  }
  const { job, instance, target, dryRun } = context;
  if (target.marked && !dryRun && !record.staged)
    await rememberRows(client, { job: job.name, instance, target, loaded: record.loaded });
  await closeAttempt(client, record, context);
}

/** Forgets what earlier attempts recorded of these contracts; those of the plan that are not among them stay as they are. */
export async function forgetAttempts(
  client: Queryable,
  o: { number: number; attempt: number; whole: boolean; keys: string[]; context: RunContext },
): Promise<void> {
  const { instance } = o.context;
  if (o.attempt === 1) return;
  for (const table of ['failure', 'stale', 'contract_amount', 'staged', 'target_row'])
    await client.query(`DELETE FROM nightfill.${table} WHERE instance = $1 AND key = ANY ($2)`, [instance, o.keys]);
  if (o.whole)
    await client.query(`DELETE FROM nightfill.chunk_amount WHERE instance = $1 AND chunk = $2`, [instance, o.number]);
}

/**
 * Control totals of an attempt: what the sources said of the contracts in `keys`, and what the target holds of them. What
 * a transform made is not what the sources said: there the amounts stored of each contract count.
 */
export async function storeAmounts(
  client: Queryable,
  o: Pick<ChunkRecord, 'number' | 'attempt' | 'staged'> & {
    result: Pick<LoadResult, 'totals'> | undefined;
    keys: readonly string[];
  },
  { instance, job }: Pick<RunContext, 'instance' | 'job'>,
): Promise<void> {
  const totals = o.result?.totals ?? [];
  if (totals.length === 0) return;
  const independent = job.transform ? sumDefinitions(job).filter((sum) => sum.independent) : [];
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
      totals.map((total) => (o.staged ? '0' : total.loaded)),
      independent.length > 0 ? o.keys : [],
      independent.map(({ column }) => column),
      totals.map((total) => total.altered),
    ],
  );
}

type FailedContract = { contract: Pick<PlannedContract, 'key' | 'failedBefore'>; failure: FailureRecord };

export async function storeFailures(
  client: Queryable,
  { number, failed }: { number: number; failed: readonly FailedContract[] },
  { instance, run }: RunContext,
): Promise<void> {
  const of = <T>(get: (failure: FailureRecord) => T): T[] => failed.map(({ failure }) => get(failure));
  await client.query(
    `INSERT INTO nightfill.failure (instance, chunk, run, key, stage, api, lookup, code, class, http_status, message,
       attempts, advice, advice_after)
     SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
       $10::integer[], $11::text[], $12::integer[], $13::text[], $14::timestamptz[])`,
    [
      instance,
      number,
      run,
      failed.map(({ contract }) => contract.key),
      of(({ stage }) => stage),
      of(({ api }) => api),
      of(({ lookup }) => lookup),
      of(({ code }) => code),
      of((failure) => failure.class),
      of(({ httpStatus }) => httpStatus),
      of(({ message }) => message.replaceAll('\0', '\\0').toWellFormed()),
      failed.map(attemptsInAll),
      of(({ advice }) => advice),
      of(({ adviceAfter }) => adviceAfter),
    ],
  );
}

/** With those of its earlier failure, whose row this one replaces. A record that is unusable as listed is not asked for. */
const attemptsInAll = ({ contract, failure }: FailedContract): number =>
  failure.attempts + (failure.stage === 'list' ? 0 : (contract.failedBefore?.attempts ?? 0));

async function storeStale(client: Queryable, { number, loaded }: ChunkRecord, { instance }: RunContext) {
  const stale = loaded.flatMap(({ contract, stale: lookups }) => lookups.map((one) => ({ key: contract.key, ...one })));
  if (stale.length === 0) return;
  await client.query(
    `INSERT INTO nightfill.stale (instance, chunk, key, lookup, as_of)
     SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::timestamptz[])`,
    [instance, number, stale.map(({ key }) => key), stale.map(({ lookup }) => lookup), stale.map(({ asOf }) => asOf)],
  );
}

async function storeContractAmounts(client: Queryable, record: ChunkRecord, { instance }: RunContext) {
  const known = [...record.loaded, ...record.failed].flatMap(({ contract, amounts }) =>
    amounts.map((amount) => ({ key: contract.key, ...amount })),
  );
  if (known.length === 0) return;
  await client.query(
    `INSERT INTO nightfill.contract_amount (instance, chunk, key, column_name, currency, amount)
     SELECT $1, $2, key, column_name, currency, ${readableAmount('amount')}
     FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS known (key, column_name, currency, amount)`,
    [
      instance,
      record.number,
      known.map(({ key }) => key),
      known.map(({ column }) => column),
      known.map(({ currency }) => currency),
      known.map(({ amount }) => amount),
    ],
  );
}

async function closeAttempt(client: Queryable, record: ChunkRecord, { instance, run, token, job }: RunContext) {
  const { number, attempt, loaded, failed, whole, enrichMs, loadMs } = record;
  const result = record.staged ? undefined : record.result;
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
  // Attempts load disjoint contracts, so their figures add up; a whole chunk worked on anew replaces them.
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
  if (rowCount !== 1) throw new LeaseLostError(job.name);
}
