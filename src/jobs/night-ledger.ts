import { workOfRun } from '../report/figures.ts';
import type { QuotaUse } from '../resilience/quota.ts';
import type { Queryable } from '../sinks/postgres.ts';
import type { Job } from './job.ts';
import { findInstance } from './ledger.ts';
import { readChunk, unfinishedChunks, type PlannedContract } from './plan.ts';

/** What the ledger knows that bears on a night to come. */
export interface NightLedger {
  /** For people. */
  database: string;
  instance:
    | {
        status: string;
        sourceTotal: string | null;
        planned: number;
        /** Keys. */
        loaded: ReadonlySet<string>;
        left: PlannedContract[];
      }
    | undefined;
  /** By API: the median in milliseconds in the latest run that asked it. */
  latencyMs: ReadonlyMap<string, number>;
  lastRun: { id: string; businessDate: string; status: string; contracts: number; failed: number } | undefined;
  /** Of the latest days. */
  quotaUse: (origin: string, day: string) => QuotaUse | undefined;
}

/** Reads it. */
export async function readNightLedger(
  database: Queryable & { description: string },
  { job, businessDate }: { job: Pick<Job, 'name'>; businessDate: string },
): Promise<NightLedger> {
  return {
    database: database.description,
    instance: await readNight(database, { job: job.name, businessDate }),
    latencyMs: await readLatencies(database, job.name),
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
  o: { job: string; businessDate: string },
): Promise<NightLedger['instance']> {
  const instance = await findInstance(database, { ...o, purpose: 'night' });
  if (!instance) return undefined;
  const { rows: totals } = await database.query<{ sourceTotal: string | null; planned: number }>(
    `SELECT source_total::text AS "sourceTotal",
       (SELECT coalesce(sum(contracts), 0)::integer FROM nightfill.chunk WHERE instance = id) AS planned
     FROM nightfill.instance WHERE id = $1`,
    [instance.id],
  );
  const { rows: loaded } = await database.query<{ key: string }>(
    `SELECT key FROM nightfill.contract JOIN nightfill.chunk ON chunk.instance = contract.instance AND number = chunk
     WHERE contract.instance = $1 AND chunk.status <> 'not-started'
       AND NOT EXISTS (SELECT FROM nightfill.failure WHERE failure.instance = contract.instance AND failure.key = contract.key)`,
    [instance.id],
  );
  const left: PlannedContract[] = [];
  for (const number of await unfinishedChunks({ database, instance: instance.id }, {}))
    left.push(...(await readChunk({ database, instance: instance.id }, number, {})).contracts);
  return { status: instance.status, ...totals[0]!, loaded: new Set(loaded.map(({ key }) => key)), left };
}

async function readLatencies(database: Queryable, job: string): Promise<Map<string, number>> {
  const { rows } = await database.query<{ api: string; ms: number }>(
    `SELECT DISTINCT ON (api) api, ms FROM (
       SELECT started_at, entry->>'name' AS api, (entry->'latencyMs'->>'p50')::float8 AS ms
       FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance,
         json_array_elements(figures->'apis') AS entry
       WHERE job = $1 AND figures IS NOT NULL
     ) AS measured WHERE ms > 0 ORDER BY api, started_at DESC`,
    [job],
  );
  return new Map(rows.map(({ api, ms }) => [api, ms]));
}

async function readLastRun(database: Queryable, job: string): Promise<NightLedger['lastRun']> {
  const { rows } = await database.query<NonNullable<NightLedger['lastRun']>>(
    `SELECT run.id, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", run.status, work.contracts,
       work.contracts - work.loaded AS failed
     FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance CROSS JOIN LATERAL (${workOfRun}) AS work
     WHERE job = $1 AND purpose = 'night' AND run.status <> 'running' ORDER BY started_at DESC, run.id DESC LIMIT 1`,
    [job],
  );
  return rows[0];
}
