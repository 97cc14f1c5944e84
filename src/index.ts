/// <reference types="node" preserve="true" />
/** Nightfill as a library: load a job file, run it against a database, read its report. */
export { main } from './cli.ts';
export { loadJob } from './config/load-job.ts';
export { JobFileError } from './config/yaml/job-file-error.ts';
export { businessDateIn } from './jobs/business-date.ts';
export type { Job } from './jobs/job.ts';
export { JobRunningError } from './ledger/lease.ts';
export type { RunResult } from './jobs/run/run.ts';
export type { Transform, TransformParts } from './jobs/enrich/transform-worker.ts';
export { findRun } from './ledger/find-run.ts';
export {
  openDatabase,
  rerunJob,
  runJob,
  type RerunJobOptions,
  type RunJobOptions,
  type RunOptions,
} from './library.ts';
export { createLog, type Log } from './observe/log.ts';
export { reportSchema, type Report } from './report/schema.ts';
export { readReport } from './ledger/stored-report.ts';
export { NightfillError, UsageError } from './resilience/failure.ts';
export { migrate } from './ledger/migrations.ts';
export { Database } from './sinks/postgres/postgres.ts';
export { startSimulator } from './simulator/simulator.ts';
