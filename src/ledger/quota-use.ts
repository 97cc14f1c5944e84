import type { QuotaUse } from '../resilience/quota.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { isoDate } from './time-text.ts';

/** By the API's origin; the period is a day. */
export type QuotaUseOfOrigin = QuotaUse & { origin: string };

interface QuotaUseRow {
  origin: string;
  period: string;
  requests: number;
  left: number | null;
  of: number | null;
}

const columns = `origin, ${isoDate('day')} AS period, requests::float8 AS requests, left_now::float8 AS left,
  left_of::float8 AS of`;

/** Adds requests to what everyone has sent in the period, and gives the sum. */
export async function addQuotaUse(database: Queryable, o: QuotaUseOfOrigin): Promise<QuotaUseOfOrigin> {
  const { rows } = await database.query<QuotaUseRow>(
    // LEAST and GREATEST pass over NULL.
    `INSERT INTO nightfill.quota_use AS known (origin, day, requests, left_now, left_of)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (origin, day) DO UPDATE SET
       requests = known.requests + excluded.requests,
       left_now = least(known.left_now, excluded.left_now),
       left_of = greatest(known.left_of, excluded.left_of)
     RETURNING ${columns}`,
    [o.origin, o.period, o.requests, o.left ?? null, o.of ?? null],
  );
  return quotaUseOf(rows[0]!);
}

/** Of the latest days. */
export async function readQuotaUse(database: Queryable): Promise<QuotaUseOfOrigin[]> {
  const { rows } = await database.query<QuotaUseRow>(
    `SELECT ${columns} FROM nightfill.quota_use WHERE day > current_date - 3`,
  );
  return rows.map(quotaUseOf);
}

const quotaUseOf = ({ left, of, ...use }: QuotaUseRow): QuotaUseOfOrigin => ({
  ...use,
  left: left ?? undefined,
  of: of ?? undefined,
});
