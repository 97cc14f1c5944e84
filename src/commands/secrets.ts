import type { Job } from '../jobs/job.ts';
import { Secret } from '../sources/secret.ts';

/** The secret values of a job, for the filter that keeps them out of the logs. */
export function secretsOf(job: Job): string[] {
  return Object.values(job.apis).flatMap(({ auth }) =>
    Object.values(auth).flatMap((value: unknown) => (value instanceof Secret ? [value.reveal()] : [])),
  );
}
