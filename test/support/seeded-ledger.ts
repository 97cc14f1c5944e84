import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';

export interface SeededNights {
  job?: string;
  /** The business date of the latest; each of the others is a day before the next. */
  date?: string;
  nights?: number;
  contracts: number;
  chunkSize?: number;
  /** Every so many contracts one failed; 0: none did. */
  failedEvery?: number;
  /** Every so many contracts one stands on a last known value; 0: none does. */
  staleEvery?: number;
  /** Chunks from this number on were not started. */
  notStartedFrom?: number;
  /** The rows are held back for a switch at the end. */
  staged?: boolean;
  figures?: object;
  /** The stored report. */
  report?: string;
}

export interface SeededNight {
  instance: string;
  run: string;
  date: string;
}

/** Writes nights into the ledger as runs would have left them, many rows at a time. The latest comes first. */
export async function seedNights(database: Queryable, o: SeededNights): Promise<SeededNight[]> {
  const { job = 'seeded', nights = 1, contracts, chunkSize = 500, failedEvery = 0, staleEvery = 0 } = o;
  const latest = Date.parse(o.date ?? '2026-11-20');
  const seeded = Array.from({ length: nights }, (_, back) => ({
    instance: randomUUID(),
    run: randomUUID(),
    date: new Date(latest - back * 86_400_000).toISOString().slice(0, 10),
  }));
  const chunks = Math.ceil(contracts / chunkSize);
  const startedChunks = Math.min(chunks, (o.notStartedFrom ?? chunks + 1) - 1);
  const started = Math.min(contracts, startedChunks * chunkSize);
  const whole = failedEvery === 0 && startedChunks === chunks && !o.staged;
  const of = (name: keyof SeededNight): string[] => seeded.map((night) => night[name]);
  const night = `unnest($1::uuid[], $2::uuid[], $3::date[]) AS night (instance, run, date)`;
  const values = [of('instance'), of('run'), of('date')];
  const insert = async (sql: string, more: unknown[] = []): Promise<void> =>
    // Each statement names the three lists, so that it may use any of them.
    void (await database.query(`INSERT INTO nightfill.${sql}`, [...values, ...more]));
  const chunkOf = `1 + (n - 1) / ${chunkSize}`;
  const failed = failedEvery === 0 ? 'false' : `n % ${failedEvery} = 0`;
  const stale = staleEvery === 0 ? 'false' : `(n % ${staleEvery} = 0 AND NOT ${failed})`;

  await insert(
    `instance (id, job, business_date, generation, purpose, status, timezone, target, target_key, config_sha256, listed, source_total, knows_rows, created_at, completed_at)
     SELECT instance, $4, date, 1, 'night', $5, 'UTC', 'public.contracts', '{id}', 'x', $6::integer, $6::integer, true, date + interval '26 hours', date + interval '27 hours' FROM ${night}`,
    [job, whole ? 'complete' : 'planned', contracts],
  );
  await insert(
    `run (id, instance, mode, trigger, root_run, status, exit_code, started_at, finished_at, host, process_id, version, config_sha256, job_file, figures)
     SELECT run, instance, 'normal', 'cron', run, $4, $5, date + interval '26 hours', date + interval '27 hours', 'host', 1, '0.1.0', 'x', '/srv/job.yaml', $6::json FROM ${night}`,
    [whole ? 'succeeded' : 'partial', whole ? 0 : 3, o.figures ? JSON.stringify(o.figures) : null],
  );
  if (o.report !== undefined)
    await insert(
      `report (run, job, body, sha256, created_at) SELECT run, $4, $5, 'x', date + interval '27 hours' FROM ${night}`,
      [job, o.report],
    );
  await insert(
    `chunk (instance, number, lease, contracts, status, attempts, enriched, degraded, failed, inserted, reason)
     SELECT instance, chunk, run, count(*), CASE WHEN chunk > ${startedChunks} THEN 'not-started'
         WHEN count(*) FILTER (WHERE ${failed}) = 0 THEN 'succeeded' WHEN count(*) FILTER (WHERE NOT ${failed}) = 0 THEN 'failed' ELSE 'partial' END,
       CASE WHEN chunk > ${startedChunks} THEN 0 ELSE 1 END, ${counted(startedChunks, `NOT ${failed} AND NOT ${stale}`)},
       ${counted(startedChunks, stale)}, ${counted(startedChunks, failed)}, ${o.staged ? '0' : counted(startedChunks, `NOT ${failed}`)},
       CASE WHEN chunk > ${startedChunks} THEN 'the deadline was too near' END
     FROM ${night}, LATERAL (SELECT n, ${chunkOf} AS chunk FROM generate_series(1, ${contracts}) AS n) AS one
     GROUP BY instance, run, chunk`,
  );
  await insert(
    `chunk_attempt (instance, chunk, attempt, run, contracts, enriched, degraded, failed, inserted, updated, unchanged, enrich_ms, load_ms)
     SELECT chunk.instance, number, 1, run, contracts, enriched, degraded, failed, inserted, 0, 0, 1000, 50
     FROM ${night} JOIN nightfill.chunk ON chunk.instance = night.instance WHERE chunk.status <> 'not-started'`,
  );
  await insert(
    `chunk_amount (instance, chunk, attempt, column_name, currency, contracts, sourced, loaded)
     SELECT chunk.instance, number, 1, 'amount', currency, contracts / 2, contracts / 2, ${o.staged ? '0' : 'contracts / 2'}
     FROM ${night} JOIN nightfill.chunk ON chunk.instance = night.instance, unnest(ARRAY['EUR', 'USD']) AS currency WHERE chunk.status <> 'not-started'`,
  );
  await insert(
    `contract (instance, chunk, key, position, listed)
     SELECT instance, ${chunkOf}, 'contract-' || n, 1 + (n - 1) % ${chunkSize}, jsonb_build_object('amount', n % 1000, 'currency', CASE n % 2 WHEN 0 THEN 'EUR' ELSE 'USD' END)
     FROM ${night}, generate_series(1, ${contracts}) AS n`,
  );
  await insert(
    `contract_amount (instance, chunk, key, column_name, currency, amount)
     SELECT instance, ${chunkOf}, 'contract-' || n, 'amount', CASE n % 2 WHEN 0 THEN 'EUR' ELSE 'USD' END, n % 1000
     FROM ${night}, generate_series(1, ${started}) AS n`,
  );
  await insert(
    `failure (instance, chunk, key, run, stage, api, lookup, code, class, http_status, message, attempts, advice)
     SELECT instance, ${chunkOf}, 'contract-' || n, run, 'lookup', 'crm', 'contract', 'HTTP_404', 'data', 404, 'API "crm", GET /contracts/contract-' || n || ' answered 404', 1, 'fix-record'
     FROM ${night}, generate_series(1, ${started}) AS n WHERE ${failed}`,
  );
  await insert(
    `stale (instance, chunk, key, lookup, as_of) SELECT instance, ${chunkOf}, 'contract-' || n, 'usage', now()
     FROM ${night}, generate_series(1, ${started}) AS n WHERE ${stale}`,
  );
  if (!o.staged)
    await insert(
      `target_row (instance, chunk, key, row_key, row)
       SELECT instance, ${chunkOf}, 'contract-' || n, held, substring(sha256(convert_to(held, 'UTF8')) for 16)
       FROM ${night}, generate_series(1, ${started}) AS n, LATERAL (SELECT json_build_array('contract-' || n)::text AS held) AS one
       WHERE NOT ${failed}`,
    );
  if (o.staged)
    await insert(
      `staged (instance, chunk, key, attempt, position, cells, layout)
       SELECT instance, ${chunkOf}, 'contract-' || n, 1, 1 + (n - 1) % ${chunkSize}, ARRAY['contract-' || n, 'EUR', '1.00'], 'x'
       FROM ${night}, generate_series(1, ${started}) AS n WHERE NOT ${failed}`,
    );
  return seeded;
}

const counted = (startedChunks: number, which: string): string =>
  `CASE WHEN chunk > ${startedChunks} THEN 0 ELSE count(*) FILTER (WHERE ${which}) END`;
