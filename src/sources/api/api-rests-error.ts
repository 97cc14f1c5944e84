import { NightfillError } from '../../resilience/failure.ts';
import type { Rest } from './api-request.ts';

/**
 * The request could not be made in time, because the API rests for longer than the caller can wait or because other
 * requests came first. The request itself did not fail and can be made later.
 */
export class ApiRestsError extends NightfillError {
  readonly api: string;
  /** Epoch milliseconds: the earliest time to try again. */
  readonly retryAt: number | undefined;
  /** The deadline came first; the API does not rest. */
  readonly outOfTime: boolean;

  constructor(o: {
    api: string;
    /** Undefined: the deadline came first. */
    because?: string;
    retryAt?: number | undefined;
    cause?: unknown;
  }) {
    const until = o.retryAt === undefined ? '' : ` until ${new Date(o.retryAt).toISOString()}`;
    const what =
      o.because === undefined
        ? 'did not answer before the deadline, because it is slow or other requests came first'
        : `rests${until}, because ${o.because}; this run cannot wait that long`;
    super({
      code: 'API_RESTS',
      class: 'transient',
      message: `API "${o.api}" ${what}`,
      cause: o.cause,
    });
    this.api = o.api;
    this.retryAt = o.retryAt;
    this.outOfTime = o.because === undefined;
  }
}

/** Milliseconds: shorter rests are not logged. */
export const shortestReportedRest = 5_000;

/** The rest as one line of text. */
export const restLine = ({ api, until, because }: Rest): string =>
  `API "${api}" rests until ${new Date(until).toISOString()}: it ${because === 'asked' ? 'asked for that' : 'seems to be down'}`;
