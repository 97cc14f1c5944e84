import type { Log } from '../../observe/log.ts';
import type { RunLedger } from '../../ledger/run-ledger.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { Admission } from '../admission/admission.ts';
import type { Lookups } from '../enrich/lookups.ts';
import type { Job } from '../job.ts';
import type { Progress } from './progress.ts';
import type { Stop } from './stop.ts';

/** What the parts of a run share: values, and five capabilities. Each part takes only those that it needs. */
export interface RunContext {
  job: Job;
  businessDate: string;
  dryRun: boolean;
  target: TargetTable;
  log: Log;
  clock: Clock;
  /** Reads and commits, fenced by the lease and tried again while the database is away. */
  ledger: RunLedger;
  /** Fetches what a contract needs from the APIs. */
  lookups: Lookups;
  /** Which chunk may start: queues, deadline, quota, memory. */
  admission: Admission;
  /** How the run ends early. */
  stop: Stop;
  /** What the progress display reads. */
  progress: Progress;
}
