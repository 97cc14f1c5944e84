import pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import type { Database, Queryable } from '../../sinks/postgres/postgres.ts';

/**
 * Moves everything that the ledger keeps under one job name to another: nights, reports, last known values and loaded rows,
 * in one transaction. What the new name already has is newer, and stays. Throws UsageError.
 */
export async function renameJob(database: Database, names: { from: string; to: string }): Promise<{ nights: number }> {
  const { from, to } = names;
  return database.withTransaction(async (client) => {
    // Until the transaction ends no run can take a lease, and no heartbeat gets through.
    await client.query('LOCK TABLE nightfill.lease IN SHARE ROW EXCLUSIVE MODE');
    await requireIdle(client, [from, to]);
    await requireKnown(client, from);
    await client.query((await statementsFor(client, names)).join(';\n'));
    // Both names may have planned one date: the former name's plan then counts as replaced, as by run --again.
    const moved = await client.query<{ purpose: string }>(
      `UPDATE nightfill.instance AS old SET job = $2, generation = generation - coalesce((
         SELECT (SELECT max(generation) FROM nightfill.instance
                 WHERE job = $1 AND business_date = old.business_date AND purpose = old.purpose) - min(new.generation) + 1
         FROM nightfill.instance AS new
         WHERE new.job = $2 AND new.business_date = old.business_date AND new.purpose = old.purpose), 0)
       WHERE job = $1 RETURNING purpose`,
      [from, to],
    );
    return { nights: moved.rows.filter(({ purpose }) => purpose === 'night').length };
  });
}

async function requireIdle(client: Queryable, jobs: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ job: string }>(
    `SELECT job FROM nightfill.lease WHERE job = ANY ($1) AND expires_at > now()`,
    [jobs],
  );
  if (rows[0])
    throw new UsageError(`a run of ${rows[0].job} is at work; rename the job when it has ended`, { code: 'JOB_BUSY' });
}

async function requireKnown(client: Queryable, job: string): Promise<void> {
  const { rows } = await client.query<{ job: string }>(`SELECT DISTINCT job FROM nightfill.instance ORDER BY 1`);
  if (rows.some((row) => row.job === job)) return;
  const known = rows.length > 0 ? `it knows ${rows.map((row) => row.job).join(', ')}` : 'it knows none';
  throw new UsageError(`this database knows no job ${job}; ${known}`, { code: 'JOB_UNKNOWN' });
}

/**
 * For every table with a job column but `instance`: rows that the new name has as well are deleted under the old one,
 * because a unique key with the job in it allows one row; then the old name is replaced. The catalog names the tables, so
 * that later migrations are covered.
 */
async function statementsFor(client: Queryable, { from, to }: { from: string; to: string }): Promise<string[]> {
  const { rows } = await client.query<{ name: string; keys: string[][] }>(
    `SELECT c.relname AS name, coalesce(json_agg(unique_key.columns) FILTER (WHERE 'job' = ANY (unique_key.columns)), '[]') AS keys
     FROM pg_class c JOIN pg_attribute job ON job.attrelid = c.oid AND job.attname = 'job' AND NOT job.attisdropped
     LEFT JOIN LATERAL (
       SELECT array_agg(a.attname::text) AS columns FROM pg_index i
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
       WHERE i.indrelid = c.oid AND i.indisunique GROUP BY i.indexrelid) AS unique_key ON true
     WHERE c.relnamespace = 'nightfill'::regnamespace AND c.relkind = 'r' AND c.relname <> 'instance'
     GROUP BY c.oid ORDER BY 1`,
  );
  const [old, renamed] = [from, to].map((name) => pg.escapeLiteral(name));
  return rows.flatMap(({ name, keys }) => {
    const table = `nightfill.${pg.escapeIdentifier(name)}`;
    const deletions = keys.map((columns) => {
      const others = columns.filter((column) => column !== 'job').map((column) => pg.escapeIdentifier(column));
      const same = others.map((column) => ` AND new.${column} = old.${column}`).join('');
      return `DELETE FROM ${table} AS old USING ${table} AS new WHERE old.job = ${old} AND new.job = ${renamed}${same}`;
    });
    return [...deletions, `UPDATE ${table} SET job = ${renamed} WHERE job = ${old}`];
  });
}
