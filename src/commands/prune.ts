import type { Queryable } from '../sinks/postgres.ts';
import { commandLog } from './command-log.ts';
import { openHistory, type DatabaseSelection } from './open-database.ts';
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
  await using opened = await openHistory(options, { environment, log: commandLog(terminal) });
  const { instances, runs, needed } = await prune(opened.database, {
    keep: options.keep,
    dryRun: options.dryRun ?? false,
    ...(opened.job !== undefined && { job: opened.job }),
  });
  const kept = needed === 0 ? '' : `; ${needed} as old stay, for a run or a comparison may still need them`;
  stdout.write(`${options.dryRun ? 'would forget' : 'forgot'} ${instances} business dates with ${runs} runs${kept}\n`);
  return 0;
}

async function prune(
  database: Queryable,
  { keep, job, dryRun }: PruneOptions,
): Promise<{ instances: number; runs: number; needed: number }> {
  // However old, these stay: one with a run at work; of each job the latest night, which may be unfinished, and the
  // latest complete one, which the next is compared with and whose contracts it looks for.
  const latest = (where: string): string => `(SELECT DISTINCT ON (job) id FROM nightfill.instance
     WHERE purpose = 'night' ${where} ORDER BY job, business_date DESC, generation DESC)`;
  const { rows } = await database.query<{ instances: number; runs: number; needed: number }>(
    `WITH needed AS (
       ${latest('')} UNION ${latest(`AND status = 'complete'`)} UNION
       SELECT run.instance FROM nightfill.run JOIN nightfill.lease ON lease.run = run.id AND lease.expires_at > now()
     ), aged AS (
       SELECT id FROM nightfill.instance
       WHERE business_date < current_date - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)
     ), old AS (
       SELECT id FROM aged WHERE id NOT IN (SELECT id FROM needed)
     ), runs AS (SELECT count(*)::integer AS runs FROM nightfill.run WHERE instance IN (SELECT id FROM old))
     ${dryRun ? '' : ', forgotten AS (DELETE FROM nightfill.instance WHERE id IN (SELECT id FROM old))'}
     SELECT (SELECT count(*) FROM old)::integer AS instances, runs,
       (SELECT count(*) FROM aged WHERE id IN (SELECT id FROM needed))::integer AS needed FROM runs`,
    [keep / 1_000, job ?? null],
  );
  return rows[0]!;
}
