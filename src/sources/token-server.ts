import type { Pool } from 'undici';
import type { Clock } from '../resilience/clock.ts';
import { NightfillError } from '../resilience/failure.ts';
import { TimeoutError, withTimeout } from '../resilience/timeout.ts';
import { acceptedEncodings, BodyError, decodeBody } from './decode-body.ts';
import { AnswerTooLargeError, exchange, ExchangeError, openPool } from './exchange.ts';
import { faultCode } from './fault-code.ts';
import { type FaultCode, faultTable } from './responses.ts';

const maxBytes = 1024 * 1024;

/** The server an OAuth token comes from: its own connection, because it is seldom the API's own host. */
export class TokenServer {
  readonly #api: string;
  readonly #timeout: number;
  readonly #clock: Clock;
  #pool: Pool | undefined;

  constructor({ api, timeout, clock }: { api: string; timeout: number; clock: Clock }) {
    this.#api = api;
    this.#timeout = timeout;
    this.#clock = clock;
  }

  /** POSTs a form once. Throws TOKEN_UNAVAILABLE when no whole answer comes; its class says whether time may mend it. */
  async sendForm(url: string, form: string): Promise<{ status: number; text: string }> {
    const { origin, pathname, search } = new URL(url);
    const pool = (this.#pool ??= openPool(origin, { connections: 1, connectTimeout: this.#timeout }));
    const request = {
      method: 'POST',
      path: pathname + search,
      headers: {
        accept: 'application/json',
        'accept-encoding': acceptedEncodings,
        'content-type': 'application/x-www-form-urlencoded',
        'user-agent': 'nightfill',
      },
      body: form,
    } as const;
    try {
      const answer = await withTimeout(this.#timeout, async (signal) => exchange(pool, request, { signal, maxBytes }), {
        clock: this.#clock,
      });
      return { status: answer.status, text: (await decodeBody(answer, maxBytes)).toString() };
    } catch (error) {
      throw this.#unavailable(error, origin);
    }
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  #unavailable(error: unknown, origin: string): unknown {
    const code: FaultCode | undefined =
      error instanceof TimeoutError
        ? 'TIMEOUT'
        : error instanceof ExchangeError
          ? faultCode(error.cause)
          : error instanceof AnswerTooLargeError
            ? 'RESPONSE_TOO_LARGE'
            : error instanceof BodyError
              ? 'RESPONSE_MALFORMED'
              : undefined;
    if (code === undefined) return error;
    return new NightfillError({
      code: 'TOKEN_UNAVAILABLE',
      class: faultTable[code].class,
      message: `the token server ${origin} of API "${this.#api}" gave no answer (${code}): ${faultTable[code].reason}`,
      cause: error,
    });
  }
}
