import { nextTimeOfDay } from '../jobs/business-date.ts';
import type { Job } from '../jobs/job.ts';
import { UsageError } from '../resilience/failure.ts';
import type { NextCommands } from './next-commands.ts';
import { defaultDatabaseWaitMs, type DatabaseSelection } from './open-database.ts';
import { stopSignals, type StopSignals } from './stop-signals.ts';
import { writeLines, type Terminal } from './terminal.ts';

/** What `run`, `rerun` and `demo` take from the command line alike. */
export interface ExecuteOptions extends DatabaseSelection {
  report?: string;
  json?: boolean;
  ifRunning?: 'fail' | 'skip' | 'wait';
  /** Milliseconds that work in flight may take after the first signal. */
  grace?: number;
  /** `HH:MM` in the job's time zone, or a moment; in place of the job's own. */
  finishBy?: string | Date;
  /** Loads an older date although the target has rows of a newer one. */
  overNewer?: boolean;
  /** What the summary advises instead of `rerun latest` and `run`. */
  next?: NextCommands;
}

/** Waits for a database that is not up yet as long as for one that goes away during the run. */
export const withPatience = <Options extends DatabaseSelection>(
  options: Options,
): Options & { databaseWait: number } => ({
  ...options,
  databaseWait: options.databaseWait ?? defaultDatabaseWaitMs,
});

/** Hold it as long as anything is open that a stop may have to wait for. */
export const signalsOf = ({ grace }: ExecuteOptions, terminal: Terminal): StopSignals =>
  stopSignals(terminal, { graceMs: grace ?? 30_000, note: (line) => writeLines(terminal.stderr, [line]) });

/** The moment that `--finish-by` names; undefined without it. Throws UsageError for one in the past. */
export function finishByOf({ finishBy }: Pick<ExecuteOptions, 'finishBy'>, { timezone }: Job): Date | undefined {
  const now = new Date();
  if (typeof finishBy === 'string') return nextTimeOfDay(finishBy, { timezone, now });
  if (finishBy && finishBy <= now)
    throw new UsageError(
      `--finish-by ${finishBy.toISOString()} is in the past, it is ${now.toISOString()}; name a later time`,
      {
        code: 'FINISH_BY_OVER',
      },
    );
  return finishBy;
}
