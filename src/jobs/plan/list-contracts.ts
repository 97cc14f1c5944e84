import { NightfillError } from '../../resilience/failure.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { scalarText, type Json } from '../../sources/json/exact-json.ts';
import { formatJsonPath, getPath, type JsonPath } from '../../sources/json/json-path.ts';
import { listPages } from '../../sources/listing/paginate.ts';
import type { Resolve } from '../../sources/json/template.ts';
import type { Job } from '../job.ts';
import { listedFieldKeeper } from '../load/amounts.ts';
import { underLease } from '../../ledger/lease.ts';
import { fromStoredJson, longestKey, namelessKey } from '../../ledger/listed-record.ts';
import { persist } from '../run/persist.ts';
import type { EarlierFailure } from '../enrich/repeated-failure.ts';
import type { RunContext } from '../run/run-context.ts';
import { storeContracts, type ListedContract } from '../../ledger/store-contracts.ts';

/** A contract of the frozen plan. */
export interface PlannedContract {
  key: string;
  /** What is kept of its record in the listing. */
  listed: Json;
  /** Why its record cannot be worked on; null when it can. */
  problem: string | null;
  /** Undefined when it has not failed so far. */
  failedBefore?: EarlierFailure;
}

export interface PlannedChunk {
  number: number;
  contracts: PlannedContract[];
}

/**
 * Lists the contracts and stores them chunk by chunk; `onChunk` gets each number once it is stored.
 * A contract listed twice, or planned before a crash, is taken once. The listing never waits for the chunks to be
 * worked on: a cursor that has to live for hours may not.
 */
export async function planContracts(
  context: RunContext,
  o: { limit?: number; signal: AbortSignal; onChunk: (number: number) => Promise<void> },
): Promise<void> {
  const { job, tally, clock } = context;
  const api = context.apis.get(job.contracts.api)!;
  const keep = listedFieldKeeper(job);
  const limit = o.limit ?? Infinity;
  const started = clock.now();
  let pending: ListedContract[] = [];
  let records = 0;
  let sourceTotal: string | undefined;
  let totalChanged = false;

  const store = async (): Promise<void> => {
    const number = (context.plan.lastChunk += 1);
    const chunk = { number, contracts: pending };
    const stored = await persist(async () => storeChunk(context, chunk), context, { chunk: number });
    pending = [];
    if (stored === 0) {
      if (context.plan.lastChunk === number) context.plan.lastChunk -= 1;
      return;
    }
    tally.listed += stored;
    tally.chunks += 1;
    await o.onChunk(number);
  };

  const resolve = dateScope(context.businessDate);
  try {
    listing: for await (const page of listPages(api, job.contracts, { resolve, ...context.bounds, signal: o.signal })) {
      tally.pages += 1;
      totalChanged ||= sourceTotal !== undefined && page.total !== undefined && page.total !== sourceTotal;
      sourceTotal ??= page.total;
      if (o.limit === undefined && sourceTotal !== undefined) tally.sourceTotal = Number(sourceTotal);
      for (const record of page.records) {
        if (records >= limit) break listing;
        records += 1;
        pending.push({ ...plannedContract(record, { job, keep, ordinal: records }), record: records });
        if (pending.length >= job.chunk.size) await store();
      }
    }
  } catch (error) {
    // What was listed before a page failed is worked on, whatever the size of a chunk.
    if (error instanceof NightfillError && !context.signal.aborted && pending.length > 0) await store();
    throw error;
  }
  if (pending.length > 0) await store();
  const total = o.limit === undefined ? sourceTotal : undefined;
  await persist(
    async () => closePlan(context, { records, sourceTotal: total, totalChanged, whole: o.limit === undefined }),
    context,
  );
  tally.listingDone = true;
  tally.listMs = clock.now() - started;
}

/** What the braces of the listing's templates may name. */
export const dateScope =
  (businessDate: string): Resolve =>
  ([root]) =>
    root === 'businessDate' ? businessDate : root === 'businessMonth' ? businessDate.slice(0, 7) : undefined;

export function plannedContract(
  record: Json,
  { job, keep, ordinal }: { job: Job; keep: (record: Json) => Json; ordinal: number },
): PlannedContract {
  const path = job.contracts.key;
  const key = scalarText(getPath(record, path)) ?? '';
  const listed = keep(record);
  const fault = faultOf(key, path);
  if (fault === null) return { key, listed, problem: null };
  return { key: namelessKey(ordinal), listed, problem: `record ${ordinal} of the listing has no usable key: ${fault}` };
}

function faultOf(key: string, path: JsonPath): string | null {
  if (key === '' || !key.isWellFormed() || key.includes('\0'))
    return `a text or number was expected at ${formatJsonPath(path)}`;
  const bytes = Buffer.byteLength(key);
  return bytes <= longestKey ? null : `a key has ${longestKey} bytes at most, and this one ${bytes}`;
}

/**
 * Cuts a chunk that an API's rest cut short: what was not started becomes a chunk of its own, in the transaction that
 * loads the others.
 */
export async function splitChunk(
  client: Queryable,
  o: { from: number; to: number; keys: readonly string[] },
  { instance, token }: Pick<RunContext, 'instance' | 'token'>,
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

/** Stores a chunk under the lease; gives how many of its contracts were not planned already. */
async function storeChunk(
  context: RunContext,
  { number, contracts }: { number: number; contracts: readonly ListedContract[] },
): Promise<number> {
  const { database, instance, token, job } = context;
  return underLease(database, { job: job.name, token }, async (client) => {
    // Numbers are given by this run alone: one that is there is this very chunk, whose COMMIT was not acknowledged. The
    // insert comes first, because it waits for a COMMIT that is still under way.
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
  });
}

/** The number of the last chunk stored so far; 0 when there is none. */
export async function lastChunk({ database, instance }: RunContext): Promise<number> {
  const { rows } = await database.query<{ last: number }>(
    `SELECT coalesce(max(number), 0) AS last FROM nightfill.chunk WHERE instance = $1`,
    [instance],
  );
  return rows[0]!.last;
}

async function closePlan(
  { database, instance, job, token }: RunContext,
  o: { records: number; sourceTotal: string | undefined; totalChanged: boolean; whole: boolean },
): Promise<void> {
  await underLease(database, { job: job.name, token }, async (client) => {
    await client.query(
      `UPDATE nightfill.instance SET status = 'planned', source_total = $2, total_changed = $4,
         gone_meanwhile = CASE WHEN $5 THEN greatest(0, (SELECT count(*) FROM nightfill.contract WHERE instance = $1) - $3) ELSE 0 END,
         listed = (SELECT count(*) FROM nightfill.contract WHERE instance = $1),
         duplicates = greatest(0, $3 - (SELECT count(*) FROM nightfill.contract WHERE instance = $1))
       WHERE id = $1`,
      [instance, o.sourceTotal ?? null, o.records, o.totalChanged, o.whole],
    );
  });
}

/** Which contracts of a plan a run works on. */
export interface WorkSelection {
  /** Chunk numbers; all when absent. */
  chunks?: readonly number[];
  /** Whole chunks, not only what failed or never started. */
  wholeChunks?: boolean;
  onlyTransient?: boolean;
  /** Only what failed in this run and may have its second chance. */
  secondChanceOf?: string;
}

/** Which rows of `failure` have a second chance in the run that its parameter names. */
export const hasSecondChance = (run: string): string =>
  `failure.run = ${run} AND failure.class = 'transient' AND (failure.advice_after IS NULL OR failure.advice_after < now() + interval '2 min')`;

/** The numbers of the chunks that have work left, in order. */
export async function unfinishedChunks(
  { database, instance }: { database: Queryable; instance: string },
  { chunks, wholeChunks = false }: WorkSelection,
): Promise<number[]> {
  const { rows } = await database.query<{ number: number }>(
    `SELECT number FROM nightfill.chunk
     WHERE instance = $1 AND ($2::integer[] IS NULL OR number = ANY ($2)) AND ($3 OR status <> 'succeeded')
     ORDER BY number`,
    [instance, chunks ?? null, wholeChunks],
  );
  return rows.map(({ number }) => number);
}

/** A chunk of the stored plan with just the contracts to work on: what failed or never started, unless whole. */
export async function readChunk(
  { database, instance }: { database: Queryable; instance: string },
  number: number,
  { wholeChunks = false, onlyTransient = false, secondChanceOf }: WorkSelection,
): Promise<PlannedChunk> {
  const { rows } = await database.query<
    { key: string; listed: string | null; problem: string | null; failed: boolean } & EarlierFailure
  >(
    // The chunk's status is asked once, and failures by chunk: without statistics of this night a join of the tables is
    // taken for one of a few rows, and compares each with each.
    `SELECT contract.key, contract.listed::text AS listed, contract.problem, failure.key IS NOT NULL AS failed,
       failure.lookup, failure.code, failure.http_status AS "httpStatus", failure.attempts, failure.advice
     FROM nightfill.contract
     LEFT JOIN nightfill.failure
       ON failure.instance = contract.instance AND failure.chunk = contract.chunk AND failure.key = contract.key
     WHERE contract.instance = $1 AND contract.chunk = $2
       AND ($3 OR (SELECT status FROM nightfill.chunk WHERE instance = $1 AND number = $2) = 'not-started'
         OR (failure.key IS NOT NULL AND (NOT $4 OR failure.class = 'transient')))
       AND ($5::uuid IS NULL OR (${hasSecondChance('$5')}))
     ORDER BY position`,
    [instance, number, wholeChunks, onlyTransient, secondChanceOf ?? null],
  );
  const contracts = rows.map(({ key, listed, problem, failed, ...failedBefore }) => ({
    key,
    problem,
    listed: listed === null ? null : fromStoredJson(listed),
    ...(failed && { failedBefore }),
  }));
  return { number, contracts };
}
