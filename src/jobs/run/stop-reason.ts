import { NightfillError } from '../../resilience/failure.ts';
import type { ApiRestsError } from '../../sources/api/api-rests-error.ts';

/** Why chunks are not admitted any more, as a sentence for the report. */
export class StopReason extends NightfillError {
  /** 130 or 143 after a signal. */
  readonly exitCode: number | undefined;
  /** Before then it makes no sense to try again; undefined: at once. */
  readonly after: Date | undefined;

  constructor(
    code: 'DEADLINE' | 'MOSTLY_FAILING' | 'QUOTA' | 'API_RESTS' | 'SIGNAL',
    message: string,
    o: { exitCode?: number; after?: Date } = {},
  ) {
    super({ code, class: 'transient', message });
    this.exitCode = o.exitCode;
    this.after = o.after;
  }
}

/** An API rests for longer than the night has: what is left is for another run. */
export const apiRests = ({ message, retryAt, outOfTime }: ApiRestsError): StopReason =>
  new StopReason(
    outOfTime ? 'DEADLINE' : 'API_RESTS',
    message,
    retryAt === undefined ? {} : { after: new Date(retryAt) },
  );
