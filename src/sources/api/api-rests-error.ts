import { NightfillError } from '../../resilience/failure.ts';
import type { Rest } from './api-request.ts';

/**
 * Nothing is wrong with what was to be asked, and nothing was lost: it was not asked in the time there was, because the
 * API rests for longer, or because others came first. It can be asked later.
 */
export class ApiRestsError extends NightfillError {
  readonly api: string;
  /** Epoch milliseconds: asking again before then is pointless. */
  readonly retryAt: number | undefined;
  /** It does not rest: the deadline came first. */
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
        ? 'did not answer before the deadline, because others came first or it is slow'
        : `rests${until}, because ${o.because}; that is longer than this night has`;
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

/** Milliseconds: a rest that people should hear of. */
export const worthTelling = 5_000;

/** One line for people. */
export const restLine = ({ api, until, because }: Rest): string =>
  `API "${api}" rests until ${new Date(until).toISOString()}: it ${because === 'asked' ? 'asked for that' : 'seems to be down'}`;
