import { NightfillError } from '../resilience/failure.ts';
import type { Rest } from './api-request.ts';

/** Milliseconds without a good answer after which an API is not waited for any more, where no deadline says it. */
export const downForGood = 3_600_000;

/**
 * The API rests for longer than whoever asks has: it asked for that, or it is down. Nothing is wrong with what was to be
 * asked, and nothing was lost: it was not asked, and can be later.
 */
export class ApiRestsError extends NightfillError {
  readonly api: string;
  /** Epoch milliseconds: asking again before then is pointless. */
  readonly retryAt: number | undefined;

  constructor(o: { api: string; because: string; retryAt?: number | undefined; cause?: unknown }) {
    const until = o.retryAt === undefined ? '' : ` until ${new Date(o.retryAt).toISOString()}`;
    super({
      code: 'API_RESTS',
      class: 'transient',
      message: `API "${o.api}" rests${until}, because ${o.because}; that is longer than this night has`,
      cause: o.cause,
    });
    this.api = o.api;
    this.retryAt = o.retryAt;
  }
}

/** One line for people. */
export const restLine = ({ api, until, because }: Rest): string =>
  `API "${api}" rests until ${new Date(until).toISOString()}: it ${because === 'asked' ? 'asked for that' : 'seems to be down'}`;
