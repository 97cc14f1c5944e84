import type { Clock } from '../../resilience/clock.ts';
import type { Permit } from '../../resilience/rolling-window.ts';
import { TimeoutError, withTimeout } from '../../resilience/timeout.ts';
import { acceptedEncodings, BodyError, decodeBody } from '../http/decode-body.ts';
import { type Connections, type ConnectionOptions, openConnections } from '../http/connections.ts';
import { type AnswerHeaders, AnswerTooLargeError, exchange, ExchangeError } from '../http/exchange.ts';
import { faultCode } from '../http/fault-code.ts';
import { type FaultCode, faultTable } from '../api/responses.ts';
import { TokenFailure } from './token-failure.ts';

const maxBytes = 1024 * 1024;

export interface TokenAnswer {
  status: number;
  headers: AnswerHeaders;
  text: string;
}

/** Counts token requests as requests to the API, when both have the same origin. */
export interface TokenRequestCounter {
  /** The right to send one request. */
  permit(signal: AbortSignal): Promise<Permit | undefined>;
  written(): void;
  answered(status: number, latencyMs: number): void;
}

interface TokenServerOptions {
  api: string;
  timeout: number;
  clock: Clock;
  connections: Pick<ConnectionOptions, 'tls' | 'proxy'>;
  /** Set when the token URL has the API's own origin. */
  counter?: TokenRequestCounter | undefined;
}

/** The server that issues OAuth tokens. It has its own connection, because it is usually not the API's host. */
export class TokenServer {
  readonly #options: TokenServerOptions;
  #connections: Connections | undefined;
  #hasAnswered = false;

  constructor(options: TokenServerOptions) {
    this.#options = options;
  }

  /** POSTs a form once. Throws TokenFailure when no complete answer arrives. */
  async sendForm(url: string, form: string, signal: AbortSignal): Promise<TokenAnswer> {
    const { timeout, clock, counter, connections } = this.#options;
    const { origin, pathname, search } = new URL(url);
    this.#connections ??= openConnections(origin, { ...connections, connections: 1, connectTimeout: timeout });
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
    const pool = this.#connections;
    const permit = await counter?.permit(signal);
    let writtenAt = 0;
    const onWritten = (): void => {
      permit?.sent();
      writtenAt = clock.now();
      counter?.written();
    };
    const onAnswered = (): void => permit?.answered();
    try {
      const answer = await withTimeout(
        timeout,
        async (bounded) => exchange(pool, request, { signal: bounded, maxBytes, onWritten, onAnswered }),
        { clock, signal },
      );
      this.#hasAnswered = true;
      counter?.answered(answer.status, clock.now() - writtenAt);
      return {
        status: answer.status,
        headers: answer.headers,
        text: (await decodeBody(answer, maxBytes)).toString(),
      };
    } catch (error) {
      throw this.#unavailable(error, origin);
    } finally {
      permit?.release();
    }
  }

  async close(): Promise<void> {
    await this.#connections?.destroy();
  }

  #unavailable(error: unknown, origin: string): unknown {
    const found: FaultCode | undefined =
      error instanceof TimeoutError
        ? 'TIMEOUT'
        : error instanceof ExchangeError
          ? faultCode(error.cause)
          : error instanceof AnswerTooLargeError
            ? 'RESPONSE_TOO_LARGE'
            : error instanceof BodyError
              ? 'RESPONSE_MALFORMED'
              : undefined;
    if (found === undefined) return error;
    const code = found === 'DNS_NOT_FOUND' && this.#hasAnswered ? 'DNS_UNAVAILABLE' : found;
    const { class: failureClass } = faultTable[code];
    return new TokenFailure({
      kind: failureClass === 'transient' || failureClass === 'system' ? 'busy' : 'odd',
      code: 'TOKEN_UNAVAILABLE',
      // Class `data` would blame a contract's record.
      class: failureClass === 'data' ? 'config' : failureClass,
      message: `the token server ${origin} of API "${this.#options.api}" gave no answer (${code}): ${faultTable[code].reason}`,
      cause: error,
    });
  }
}
