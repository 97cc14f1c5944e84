import { findFormerWriter } from '../ledger/history/former-writer.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Job } from './job.ts';
import { targetName } from './plan/stored-plan.ts';

/** A note that the job may have been renamed, with the command to run; undefined when nothing suggests it. Reads only. */
export async function formerWriterNote(database: Queryable, job: Job): Promise<string | undefined> {
  const { name, file } = job;
  const target = targetName(job);
  const former = await findFormerWriter(database, { job: name, target });
  if (!former) return undefined;
  return (
    `${name} has no night yet, and ${target} was loaded by job ${former.job}, last for ${former.lastDate}; ` +
    `if this is that job under a new name, carry its history over: nightfill migrate ${job.database ? `--job ${file.path} ` : ''}--rename-job ${former.job}=${name}`
  );
}
