import { access, constants, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Job } from '../jobs/job.ts';
import { makeReportFolder } from '../report/store.ts';
import { UsageError } from '../resilience/failure.ts';

/** A sample and a dry run have files of their own, because finance reads the night's. */
export function reportFileOf(
  job: Job,
  businessDate: string,
  o: { report?: string; limit?: number; dryRun?: boolean },
): string {
  const kind = o.dryRun ? '-dry-run' : o.limit === undefined ? '' : '-sample';
  return o.report ?? join('reports', `${job.name}-${businessDate}${kind}.json`);
}

/** Throws UsageError, before the run starts, when the report could not be written. */
export async function requireWritable(file: string, name: string): Promise<void> {
  try {
    await makeReportFolder(dirname(file));
    await access(dirname(file), constants.W_OK);
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw new Error('it is a folder');
  } catch (error) {
    throw new UsageError(
      `the report cannot be written to ${name}: ${(error as Error).message}; name another place with --report FILE`,
      { code: 'REPORT_NOT_WRITABLE', cause: error },
    );
  }
}
