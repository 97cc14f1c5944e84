import { NightfillError } from '../../resilience/failure.ts';
import type { ApiRestsError } from '../../sources/api/api-rests-error.ts';

/** Why no more chunks are admitted, as a sentence for the report. */
export class StopReason extends NightfillError {
  /** 130 or 143 after a signal. */
  readonly exitCode: number | undefined;
  /** The earliest time at which trying again can succeed; undefined: at once. */
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

/** The reason to stop when an API rests for longer than the night has; another run does the remaining work. */
export const apiRests = ({ message, retryAt, outOfTime }: ApiRestsError): StopReason =>
  new StopReason(
    outOfTime ? 'DEADLINE' : 'API_RESTS',
    message,
    retryAt === undefined ? {} : { after: new Date(retryAt) },
  );
