import { workOfRun } from '../../report/figures.ts';
import type { QuotaUse } from '../../resilience/quota.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { ExpectedRequests } from './expected-requests.ts';
import type { Job } from '../job.ts';
import { findInstance } from '../../ledger/instance.ts';
import { readChunk, unfinishedChunks } from '../plan/list-contracts.ts';
import { contractsAtOnce } from '../run/run.ts';
import { readSettled, type SettledConcurrency } from '../settled-concurrency.ts';
import { countHeldBack, readSwitchPace, type SwitchPace } from './switch-forecast.ts';

/** What the ledger knows that bears on a night to come. */
export interface NightLedger {
  /** For people. */
  database: string;
  instance:
    | {
        status: string;
        sourceTotal: string | null;
        planned: number;
        loaded: number;
        /** Of a listing that was cut off and comes anew; empty when it is whole. */
        loadedKeys: ReadonlySet<string>;
        /** Contracts to work on, and what they ask for. */
        left: number;
        expected: ExpectedRequests;
        /** Rows held back for the switch at the end. */
        heldBack: number;
      }
    | undefined;
  /** Undefined for jobs that load chunk by chunk, and before anything was measured. */
  switchPace: SwitchPace | undefined;
  /** By API: the median in milliseconds in the latest run that asked it; of the latest runs. */
  latencyMs: ReadonlyMap<string, number>;
  /** Of the latest run. */
  settled: readonly SettledConcurrency[];
  lastRun: { id: string; businessDate: string; status: string; contracts: number; failed: number } | undefined;
  /** Of the latest days. */
  quotaUse: (origin: string, day: string) => QuotaUse | undefined;
}

/** Reads it. */
export async function readNightLedger(
  database: Queryable & { description: string },
  { job, businessDate }: { job: Job; businessDate: string },
): Promise<NightLedger> {
  return {
    database: database.description,
    instance: await readNight(database, { job, businessDate }),
    switchPace: job.commit === 'run' ? await readSwitchPace(database, job.name) : undefined,
    latencyMs: await readLatencies(database, job.name),
    settled: await readSettled(database, job),
    lastRun: await readLastRun(database, job.name),
    quotaUse: await readQuotaUse(database),
  };
}

async function readQuotaUse(database: Queryable): Promise<NightLedger['quotaUse']> {
  const { rows } = await database.query<{
    origin: string;
    day: string;
    requests: number;
    left: number | null;
    of: number | null;
  }>(
    `SELECT origin, to_char(day, 'YYYY-MM-DD') AS day, requests::float8 AS requests, left_now::float8 AS left,
       left_of::float8 AS of FROM nightfill.quota_use WHERE day > current_date - 3`,
  );
  return (origin, day) => {
    const row = rows.find((one) => one.origin === origin && one.day === day);
    return row && { period: day, requests: row.requests, left: row.left ?? undefined, of: row.of ?? undefined };
  };
}

async function readNight(
  database: Queryable,
  { job, businessDate }: { job: Job; businessDate: string },
): Promise<NightLedger['instance']> {
  const instance = await findInstance(database, { job: job.name, businessDate, purpose: 'night' });
  if (!instance) return undefined;
  const { id, status } = instance;
  const { rows: totals } = await database.query<{ sourceTotal: string | null; planned: number; loaded: number }>(
    `SELECT source_total::text AS "sourceTotal", chunks.*
     FROM nightfill.instance, LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS planned, coalesce(sum(enriched + degraded), 0)::integer AS loaded
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS chunks WHERE id = $1`,
    [id],
  );
  const expected = new ExpectedRequests(job, { businessDate, atOnce: contractsAtOnce(job) });
  let left = 0;
  if (status !== 'planning')
    // A chunk at a time: a million contracts together would not fit into memory.
    for (const number of await unfinishedChunks({ database, instance: id }, {})) {
      const { contracts } = await readChunk({ database, instance: id }, number, {});
      for (const contract of contracts) expected.add(contract);
      left += contracts.length;
    }
  const loadedKeys = status === 'planning' ? await readLoadedKeys(database, id) : new Set<string>();
  return { status, ...totals[0]!, loadedKeys, left, expected, heldBack: await countHeldBack(database, id) };
}

async function readLoadedKeys(database: Queryable, instance: string): Promise<Set<string>> {
  const { rows } = await database.query<{ key: string }>(
    // Looked up by index for each contract, and not joined: see readChunk.
    `SELECT key FROM nightfill.contract
     WHERE instance = $1
       AND (SELECT status FROM nightfill.chunk WHERE chunk.instance = $1 AND number = contract.chunk) <> 'not-started'
       AND (SELECT true FROM nightfill.failure WHERE failure.instance = $1 AND failure.key = contract.key) IS NULL`,
    [instance],
  );
  return new Set(rows.map(({ key }) => key));
}

/** Runs whose figures are looked at for latencies, the latest ones. */
const latestRuns = 30;

async function readLatencies(database: Queryable, job: string): Promise<Map<string, number>> {
  const { rows } = await database.query<{ api: string; ms: number }>(
    `SELECT DISTINCT ON (api) api, ms FROM (
       SELECT started_at, entry->>'name' AS api, (entry->'latencyMs'->>'p50')::float8 AS ms
       FROM (
         SELECT started_at, figures FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
         WHERE job = $1 AND figures IS NOT NULL ORDER BY started_at DESC LIMIT ${latestRuns}
       ) AS latest, json_array_elements(figures->'apis') AS entry
     ) AS measured WHERE ms > 0 ORDER BY api, started_at DESC`,
    [job],
  );
  return new Map(rows.map(({ api, ms }) => [api, ms]));
}

async function readLastRun(database: Queryable, job: string): Promise<NightLedger['lastRun']> {
  const { rows } = await database.query<NonNullable<NightLedger['lastRun']>>(
    `SELECT run.id, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", run.status, work.contracts,
       work.contracts - work.loaded AS failed
     FROM (
       SELECT run.id, business_date, run.status FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
       WHERE job = $1 AND purpose = 'night' AND run.status <> 'running' ORDER BY started_at DESC, run.id DESC LIMIT 1
     ) AS run CROSS JOIN LATERAL (${workOfRun}) AS work`,
    [job],
  );
  return rows[0];
}
