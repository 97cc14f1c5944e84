import { NightfillError } from '../../resilience/failure.ts';
import { RequestError } from '../../sources/api/request-error.ts';

export const isRefusedCredentials = (error: unknown): boolean =>
  error instanceof NightfillError && error.code === 'CREDENTIALS_REJECTED';

/** Whether the credentials are refused for every record, and not for one among others that were answered. */
export const refuseAll = (error: unknown): boolean =>
  isRefusedCredentials(error) && !(error instanceof RequestError && !error.credentialsUseless);
