import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import type { SeededNight } from './seeded-ledger.ts';

/** One contract as a night's ledger knows it. */
export interface SeededContract {
  key: string;
  chunk?: number;
  outcome?: 'enriched' | 'degraded' | 'failed' | 'not-started' | 'held-back';
  /** What its sources said; null: nobody said it. The listing says it of contracts that were not started. */
  amount?: string | null;
  currency?: string | null;
  /** What was read back from the target, where that is something else. */
  loaded?: string;
  /** When the last known value of `usage` is from; now, where the contract is degraded. */
  asOf?: string;
  advice?: 'retry-now' | 'retry-after' | 'fix-config' | 'fix-record' | 'never';
  adviceAfter?: string;
}

export interface SeededNightOptions {
  job?: string;
  date?: string;
  contracts: readonly SeededContract[];
  generation?: number;
  purpose?: 'night' | 'sample' | 'dry-run';
  /** `planning`: the listing has not come to its end. */
  status?: 'planning' | 'planned' | 'complete';
  sourceTotal?: number | null;
  totalChanged?: boolean;
  duplicates?: number;
  goneMeanwhile?: number;
  /** False of nights begun before the ledger knew the rows of the target. */
  knowsRows?: boolean;
  figures?: object;
  report?: object;
}

const ofChunks = `
  FROM (SELECT coalesce(chunk, 1) AS number, count(*) AS contracts,
      count(*) FILTER (WHERE outcome = 'enriched' OR outcome = 'held-back') AS enriched,
      count(*) FILTER (WHERE outcome = 'degraded') AS degraded, count(*) FILTER (WHERE outcome = 'failed') AS failed,
      count(*) FILTER (WHERE outcome IN ('enriched', 'degraded')) AS written,
      count(*) FILTER (WHERE outcome = 'not-started') AS unstarted
    FROM given GROUP BY 1) AS chunk`;

const given = `WITH given AS (
  SELECT coalesce(chunk, 1) AS chunk, key, coalesce(outcome, 'enriched') AS outcome, amount, currency, loaded, "asOf",
    coalesce(advice, 'fix-record') AS advice, "adviceAfter", row_number() OVER ()::integer AS position
  FROM jsonb_to_recordset($3::jsonb) AS one (chunk integer, key text, outcome text, amount text, currency text,
    loaded numeric, "asOf" timestamptz, advice text, "adviceAfter" timestamptz))`;

/** Writes one night into the ledger as a run would have left it, contract by contract, with one summed column `amount`. */
export async function seedNight(database: Queryable, night: SeededNightOptions): Promise<SeededNight> {
  const { job = 'seeded', date = '2026-11-20', purpose = 'night', status = 'planned', generation = 1 } = night;
  const seeded = { instance: randomUUID(), run: randomUUID(), date };
  // What is not said is usual; null is said.
  const contracts = night.contracts.map((contract) => ({ amount: '1.00', currency: 'EUR', ...contract }));
  await database.query(
    `INSERT INTO nightfill.instance (id, job, business_date, generation, purpose, status, timezone, target, target_key,
       config_sha256, listed, source_total, total_changed, duplicates, gone_meanwhile, knows_rows, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, 'UTC', 'public.contracts', '{id}', repeat('a', 64), $7, $8, $9, $10, $11, $12,
       $3::date + interval '26 hours')`,
    [
      seeded.instance,
      job,
      date,
      generation,
      purpose,
      status,
      contracts.length,
      night.sourceTotal === undefined ? contracts.length : night.sourceTotal,
      night.totalChanged ?? false,
      night.duplicates ?? 0,
      night.goneMeanwhile ?? 0,
      night.knowsRows ?? true,
    ],
  );
  await database.query(
    `INSERT INTO nightfill.run (id, instance, mode, trigger, root_run, status, exit_code, started_at, finished_at, host,
       process_id, version, config_sha256, job_file, figures)
     VALUES ($1, $2, 'normal', 'cron', $1, 'succeeded', 0, $3::date + interval '26 hours', $3::date + interval '27 hours',
       'host', 1, '0.1.0', repeat('a', 64), '/srv/job.yaml', $4)`,
    [seeded.run, seeded.instance, date, night.figures ? JSON.stringify(night.figures) : null],
  );
  if (night.report)
    await database.query(
      `INSERT INTO nightfill.report (run, job, body, sha256, created_at)
       VALUES ($1, $2, $3, repeat('b', 64), $4::date + interval '27 hours')`,
      [seeded.run, job, JSON.stringify(night.report), date],
    );
  await database.query(contractsSql, [seeded.instance, seeded.run, JSON.stringify(contracts)]);
  return seeded;
}

const contractsSql = `${given}, chunks AS (
  INSERT INTO nightfill.chunk (instance, number, lease, contracts, status, attempts, enriched, degraded, failed, inserted)
  SELECT $1::uuid, number, $2::uuid, contracts,
    CASE WHEN unstarted > 0 THEN 'not-started' WHEN failed = 0 THEN 'succeeded' WHEN failed = contracts THEN 'failed' ELSE 'partial' END,
    CASE WHEN unstarted > 0 THEN 0 ELSE 1 END, enriched, degraded, failed, written ${ofChunks}
), attempts AS (
  INSERT INTO nightfill.chunk_attempt (instance, chunk, attempt, run, contracts, enriched, degraded, failed, inserted,
    updated, unchanged, enrich_ms, load_ms)
  SELECT $1::uuid, number, 1, $2::uuid, contracts, enriched, degraded, failed, written, 0, 0, 1000, 50 ${ofChunks}
  WHERE unstarted = 0
), chunk_amounts AS (
  INSERT INTO nightfill.chunk_amount (instance, chunk, attempt, column_name, currency, contracts, sourced, loaded)
  SELECT $1::uuid, chunk, 1, 'amount', currency, count(*), sum(amount::numeric), sum(coalesce(loaded, amount::numeric))
  FROM given WHERE outcome IN ('enriched', 'degraded') GROUP BY chunk, currency
), contracts AS (
  INSERT INTO nightfill.contract (instance, chunk, key, position, listed)
  SELECT $1::uuid, chunk, key, position, json_build_object('amount', amount, 'currency', currency) FROM given
), amounts AS (
  INSERT INTO nightfill.contract_amount (instance, chunk, key, column_name, currency, amount)
  SELECT $1::uuid, chunk, key, 'amount', currency, amount::numeric FROM given
  WHERE outcome <> 'not-started' AND amount IS NOT NULL
), failures AS (
  INSERT INTO nightfill.failure (instance, chunk, key, run, stage, api, lookup, code, class, http_status, message,
    attempts, advice, advice_after)
  SELECT $1::uuid, chunk, key, $2::uuid, 'lookup', 'crm', 'contract', 'HTTP_404', 'data', 404, key || ' was not found', 1,
    advice, "adviceAfter"
  FROM given WHERE outcome = 'failed'
), stale AS (
  INSERT INTO nightfill.stale (instance, chunk, key, lookup, as_of)
  SELECT $1::uuid, chunk, key, 'usage', coalesce("asOf", now()) FROM given WHERE outcome = 'degraded'
), staged AS (
  INSERT INTO nightfill.staged (instance, chunk, key, attempt, position, cells, layout)
  SELECT $1::uuid, chunk, key, 1, position, ARRAY[key], 'x' FROM given WHERE outcome = 'held-back'
)
INSERT INTO nightfill.target_row (instance, chunk, key, row_key, row)
SELECT $1::uuid, chunk, key, json_build_array(key)::text, substring(sha256(convert_to(key, 'UTF8')) for 16)
FROM given WHERE outcome IN ('enriched', 'degraded')`;
