import { NightfillError } from '../../resilience/failure.ts';
import { RequestError } from '../../sources/api/request-error.ts';

export const isRefusedCredentials = (error: unknown): boolean =>
  error instanceof NightfillError && error.code === 'CREDENTIALS_REJECTED';

/** Whether the credentials are refused for every record: not for one alone, between others that were answered. */
export const refuseAll = (error: unknown): boolean =>
  isRefusedCredentials(error) && !(error instanceof RequestError && !error.credentialsUseless);
