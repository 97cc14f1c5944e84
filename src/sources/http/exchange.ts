// oxlint-disable-next-line no-restricted-imports -- the attempt's TimeLimit bounds the whole exchange
import { Client, type Dispatcher, Pool } from 'undici';
import { offAbort, onAbort } from '../../resilience/on-abort.ts';
import type { TimeLimit, Timing } from '../../resilience/time-limit.ts';
import { TimeoutError } from '../../resilience/timeout.ts';

export type AnswerHeaders = Record<string, string | string[] | undefined>;

/** What came back on the wire, still compressed. */
export interface WireAnswer {
  status: number;
  headers: AnswerHeaders;
  body: Buffer;
}

export interface WireRequest {
  method: 'GET' | 'POST';
  /** Path and query. */
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
}

export interface ExchangeOptions {
  signal?: AbortSignal | undefined;
  /** From now on until the answer's last byte, the wait for a socket included. */
  timeLimit?: TimeLimit;
  /** Bytes on the wire; the socket is destroyed as soon as one more arrives. */
  maxBytes: number;
  /** The request is being written to its socket. Not called for a request that never reached one. */
  onWritten?: () => void;
  /** The answer's head is here. */
  onAnswered?: () => void;
}

/** An exchange that ended without a whole answer, and how far it had come. */
export class ExchangeError extends Error {
  readonly written: boolean;
  readonly answered: boolean;
  /** The socket had served an earlier request, so the server may just have closed it for idleness. */
  readonly reusedSocket: boolean;

  constructor(cause: unknown, state: { written: boolean; answered: boolean; reusedSocket: boolean }) {
    super('the exchange broke off', { cause });
    this.name = 'ExchangeError';
    this.written = state.written;
    this.answered = state.answered;
    this.reusedSocket = state.reusedSocket;
  }
}

/** The answer is longer than `maxBytes`. */
export class AnswerTooLargeError extends Error {}

/** One HTTP/1.1 connection that knows whether its socket has served a request before. */
class Connection extends Client {
  used = false;

  constructor(origin: URL, options: Client.Options) {
    super(origin, options);
    this.on('connect', () => {
      this.used = false;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof Exchange) handler.connection = this;
    return super.dispatch(options, handler);
  }
}

/** The sockets of one API: HTTP/1.1 without pipelining, so `connections` caps them; no redirects. */
export function openPool(
  origin: string,
  {
    connections,
    connectTimeout,
    ...own
  }: {
    connections: number;
    connectTimeout: number;
    /** What TLS needs besides (authorities, a client certificate), or another way to open a socket. */
    connect?: NonNullable<Pool.Options['connect']>;
  },
): Pool {
  return new Pool(origin, {
    ...own,
    connections,
    connectTimeout,
    // With HTTP/2 every request shares one socket, and `connections` would no longer cap anything.
    allowH2: false,
    pipelining: 1,
    // Below the idle time of common load balancers, so that we close first.
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 4_000,
    autoSelectFamily: true,
    // The attempt's own timeout covers the whole exchange; undici's two would only watch its halves.
    headersTimeout: 0,
    bodyTimeout: 0,
    factory: (url, options) => new Connection(url, options),
  });
}

/**
 * Sends one request and gives back the whole answer. Every byte is read or the socket destroyed, also on abort.
 * Throws the signal's reason, `TimeoutError`, `AnswerTooLargeError`, or `ExchangeError` around undici's error.
 */
export async function exchange(
  pool: Pick<Dispatcher, 'dispatch'>,
  request: WireRequest,
  options: ExchangeOptions,
): Promise<WireAnswer> {
  options.signal?.throwIfAborted();
  return new Promise<WireAnswer>((resolve, reject) => {
    const handler = new Exchange(options, resolve, reject);
    pool.dispatch({ ...request, body: request.body ?? null, idempotent: true }, handler);
  });
}

/** Undici's own `request()` costs more and hides when the request is written, which is what the rate windows are stamped by. */
class Exchange implements Dispatcher.DispatchHandler {
  connection: Connection | undefined;
  readonly #options: ExchangeOptions;
  readonly #resolve: (answer: WireAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (reason: unknown): void => this.#abort(reason);
  readonly #timing: Timing | undefined;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: AnswerHeaders = {};
  #reusedSocket = false;
  #abortReason: { error: unknown } | undefined;

  constructor(options: ExchangeOptions, resolve: (answer: WireAnswer) => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal, timeLimit } = options;
    if (signal) onAbort(signal, this.#onAbort);
    this.#timing = timeLimit?.start(() => this.#abort(new TimeoutError({ timeout: timeLimit.ms })));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason) {
      // Aborted while it waited for a socket: it must not be written any more.
      controller.abort(new Error('aborted'));
      return;
    }
    if (this.connection) {
      this.#reusedSocket = this.connection.used;
      this.connection.used = true;
    }
    this.#tell(this.#options.onWritten);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    // Interim answers (100, 103) are not the answer.
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    this.#tell(this.#options.onAnswered);
    if (Number(headers['content-length']) > this.#options.maxBytes) this.#abort(new AnswerTooLargeError());
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBytes) this.#abort(new AnswerTooLargeError());
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#settle();
    const [first] = this.#chunks;
    const body = first && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#settle();
    this.#reject(
      this.#abortReason
        ? this.#abortReason.error
        : new ExchangeError(error, {
            written: this.#controller !== undefined,
            answered: this.#status !== 0,
            reusedSocket: this.#reusedSocket,
          }),
    );
  }

  /** What a callback of ours throws is our own mistake: it is thrown as it is, and not called a fault of the connection. */
  #tell(callback: (() => void) | undefined): void {
    try {
      callback?.();
    } catch (error) {
      this.#abort(error);
    }
  }

  #abort(error: unknown): void {
    this.#abortReason ??= { error };
    if (this.#controller) {
      this.#controller.abort(new Error('aborted'));
    } else {
      // Still waiting for a socket: nobody would call back before there is one.
      this.#settle();
      this.#reject(error);
    }
  }

  #settle(): void {
    const { signal, timeLimit } = this.#options;
    if (signal) offAbort(signal, this.#onAbort);
    if (this.#timing) timeLimit?.stop(this.#timing);
  }
}
