import type { Queryable } from '../sinks/postgres.ts';
import { commandLog } from './command-log.ts';
import { openDatabase, type DatabaseSelection } from './open-database.ts';
import type { Terminal } from './terminal.ts';

export interface PruneOptions extends DatabaseSelection {
  /** Milliseconds. */
  keep: number;
  job?: string;
  dryRun?: boolean;
}

/** `nightfill prune`: forgets the history of business dates older than `keep`; loaded rows and last known values stay. */
export async function pruneCommand(options: PruneOptions, terminal: Terminal): Promise<number> {
  const { environment, stdout } = terminal;
  await using opened = await openDatabase(options, { environment, log: commandLog(terminal) });
  const { instances, runs } = await prune(opened.database, options);
  stdout.write(`${options.dryRun ? 'would forget' : 'forgot'} ${instances} business dates with ${runs} runs\n`);
  return 0;
}

async function prune(
  database: Queryable,
  { keep, job, dryRun }: PruneOptions,
): Promise<{ instances: number; runs: number }> {
  // An instance with a run at work stays, however old its date.
  const { rows } = await database.query<{ instances: number; runs: number }>(
    `WITH old AS (
       SELECT id FROM nightfill.instance
       WHERE business_date < current_date - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)
         AND NOT EXISTS (SELECT FROM nightfill.run WHERE run.instance = instance.id AND run.status = 'running')
     ), runs AS (SELECT count(*)::integer AS runs FROM nightfill.run WHERE instance IN (SELECT id FROM old))
     ${dryRun ? '' : ', forgotten AS (DELETE FROM nightfill.instance WHERE id IN (SELECT id FROM old))'}
     SELECT (SELECT count(*) FROM old)::integer AS instances, runs FROM runs`,
    [keep / 1_000, job ?? null],
  );
  return rows[0]!;
}
