import { createHash } from 'node:crypto';
import { UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { STAGING } from '../../sinks/target/upsert-statements.ts';
import type { ChunkRecord } from '../chunk-ledger.ts';
import type { Job } from '../job.ts';
import type { RunContext } from '../run/run-context.ts';

/** `commit: run`: rows are held back in the ledger until the whole night switches into the target at once. */
export const isStaged = ({ job, dryRun }: Pick<RunContext, 'job' | 'dryRun'>): boolean =>
  job.commit === 'run' && !dryRun;

/** Keeps the rows of an attempt, which the load's own staging table still holds. */
export async function storeStaged(
  client: Queryable,
  { number, attempt, loaded }: ChunkRecord,
  { instance, target }: RunContext,
): Promise<void> {
  if (loaded.length === 0) return;
  const cells = target.columns.map((_, index) => `row.c${index}`).join(', ');
  await client.query(
    `INSERT INTO nightfill.staged (instance, chunk, attempt, layout, key, position, cells)
     SELECT $1, $2, $3, $4, given.key, given.ordinal, ARRAY[${cells}]
     FROM unnest($5::text[], $6::integer[]) AS given (key, ordinal) JOIN ${STAGING} AS row USING (ordinal)`,
    [
      instance,
      number,
      attempt,
      layoutOf(target.columns),
      loaded.map(({ contract }) => contract.key),
      loaded.map(({ ordinal }) => ordinal),
    ],
  );
}

const layoutOf = (columns: readonly { name: string }[]): string =>
  createHash('sha256')
    .update(JSON.stringify(columns.map(({ name }) => name)))
    .digest('hex')
    .slice(0, 16);

/** Rows held back have the columns of the job file as it was then. Throws UsageError when it has others now. */
export async function requireSameLayout(database: Queryable, o: { instance: string; job: Job }): Promise<void> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.staged WHERE instance = $1 AND layout <> $2 LIMIT 1`,
    [o.instance, layoutOf(o.job.load.columns)],
  );
  if (rowCount === 0) return;
  throw new UsageError(
    `rows of ${o.job.name} are held back for the switch at the end of the run, and load.columns of ${o.job.file.path} has changed since; put the job file back, or plan anew with run --again`,
    { code: 'TARGET_CHANGED' },
  );
}

export async function hasStaged(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(`SELECT FROM nightfill.staged WHERE instance = $1 LIMIT 1`, [instance]);
  return rowCount === 1;
}

/**
 * A night planned anew replaces what earlier plans of the same date held back, once its own listing is stored whole: until
 * then it may be refused and forgotten, and the earlier plan is the latest again.
 */
export async function forgetObsoleteStaged(client: Queryable, instance: string): Promise<void> {
  await client.query(
    `DELETE FROM nightfill.staged USING nightfill.instance AS this, nightfill.instance AS earlier
     WHERE this.id = $1 AND this.status <> 'planning' AND staged.instance = earlier.id
       AND earlier.job = this.job AND earlier.business_date = this.business_date AND earlier.purpose = this.purpose
       AND earlier.generation < this.generation`,
    [instance],
  );
}
