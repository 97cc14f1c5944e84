import type { Instance } from '../../ledger/instance.ts';
import type { Lease } from '../../ledger/lease.ts';
import type { NewerNight } from '../../ledger/newer-night.ts';
import type { WorkSelection } from '../../ledger/planned-contract.ts';
import type { RunMode, RunRow, Trigger } from '../../ledger/run.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { Database } from '../../sinks/postgres/postgres.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { RowTransform } from '../enrich/transform.ts';
import type { Job } from '../job.ts';
import type { RunContext } from './run-context.ts';

export interface RunOptions {
  database: Database;
  trigger: Trigger;
  ifRunning: 'fail' | 'wait';
  version: string;
  log: Log;
  clock: Clock;
  /** How long to wait for a database that is away, in milliseconds. */
  databaseWaitMs: number;
  /** Stops admission; chunks in progress are finished. Its reason is a StopReason. */
  stopping: AbortSignal;
  /** Ends everything at once. */
  signal: AbortSignal;
  /** When the run must have ended, in place of the job's own `finishBy`. */
  finishBy?: Date;
  /** Load an older business date even if the target holds rows of a newer one. */
  overNewer?: boolean;
  /** Called once the run has started, for the progress display. */
  onStart?: (context: RunContext) => void;
  /** Called as each contract's fetching ends. */
  onContract?: () => void;
}

/** Ends what is waited for before the run is under way. */
export const untilStopped = (
  { signal, stopping }: Pick<RunOptions, 'signal' | 'stopping'>,
  { lost }: Lease,
): AbortSignal => AbortSignal.any([signal, stopping, lost]);

/** A run that has all it needs to begin. */
export interface PreparedRun {
  id: string;
  job: Job;
  instance: Instance;
  mode: RunMode;
  continues: RunRow | undefined;
  lease: Lease;
  target: TargetTable;
  transform: RowTransform | undefined;
  overNewer: NewerNight | null;
  selection: WorkSelection;
}
