import { hasLoadedRows, type Instance } from '../../ledger/instance.ts';
import { UsageError } from '../../resilience/failure.ts';
import type { Database } from '../../sinks/postgres/postgres.ts';
import { inspectTarget, prepareTarget, type TargetTable } from '../../sinks/target/target-table.ts';
import { requireLoadable } from '../../sinks/target/try-load.ts';
import type { Job } from '../job.ts';

/**
 * Throws UsageError when rows were loaded and the target no longer exists. A new target would get only the rest of the
 * plan, without the rows loaded before.
 */
export async function requireTargetKept(job: Job, o: { database: Database; instance: Instance }): Promise<void> {
  const { exists } = await o.database.withTransaction(async (client) => inspectTarget(client, job.load));
  if (exists || !(await hasLoadedRows(o.database, o.instance.id))) return;
  const { schema, name } = job.load.table;
  throw new UsageError(
    `${schema}.${name} no longer exists, so the rows that were loaded for ${o.instance.businessDate} are lost; restore the table, or plan the date anew with run --again`,
    { code: 'TARGET_GONE' },
  );
}

/** The target, created when missing; a dry run creates it only to inspect it, and rolls back. */
export async function targetFor(
  job: Job,
  { database, dryRun }: { database: Database; dryRun: boolean },
): Promise<TargetTable> {
  return database.withTransaction(async (client) => {
    await client.query('SAVEPOINT target');
    const target = await prepareTarget(client, job.load);
    await requireLoadable(client, target);
    if (dryRun) await client.query('ROLLBACK TO SAVEPOINT target');
    return target;
  });
}
