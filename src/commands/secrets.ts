import type { Job } from '../jobs/job.ts';
import { Secret } from '../sources/secret.ts';

/** The secret values of a job, for the filter that keeps them out of the logs. */
export function secretsOf(job: Job): string[] {
  const database = typeof job.database === 'object' ? [job.database.url.reveal()] : [];
  const ofApis = Object.values(job.apis).flatMap(({ auth }) =>
    Object.values(auth).flatMap((value: unknown) => (value instanceof Secret ? [value.reveal()] : [])),
  );
  return [...ofApis, ...database];
}
