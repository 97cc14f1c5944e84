import { hostname } from 'node:os';
import { v7 as uuid } from 'uuid';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Trigger } from '../ledger/run.ts';

/** A start that came to nothing: it was refused before there was an instance to be a run of. */
export interface RefusedStart {
  command: 'run' | 'rerun';
  job: string;
  /** Null when the job file does not tell it. */
  businessDate: string | null;
  trigger: Trigger;
  exitCode: number;
  code: string;
  /** Without secrets. */
  message: string;
  /** Absolute path. */
  jobFile: string;
  version: string;
}

export async function storeRefusedStart(database: Queryable, o: RefusedStart): Promise<void> {
  await database.query(
    `INSERT INTO nightfill.refused_start (id, command, job, business_date, trigger, exit_code, code, message, job_file,
       host, process_id, version)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      uuid(),
      o.command,
      o.job,
      o.businessDate,
      o.trigger,
      o.exitCode,
      o.code,
      o.message.replaceAll('\0', '\\0').toWellFormed(),
      o.jobFile,
      hostname(),
      process.pid,
      o.version,
    ],
  );
}
