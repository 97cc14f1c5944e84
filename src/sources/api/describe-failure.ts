import type { Address } from '../http/api-address.ts';
import { AssertionError } from 'node:assert';
import { BreakerOpenError } from '../../resilience/circuit-breaker.ts';
import type { Clock } from '../../resilience/clock.ts';
import { DeadlineError } from '../../resilience/deadline.ts';
import { NightfillError } from '../../resilience/failure.ts';
import { nonsenseRetryAfter, retryAfter } from '../../resilience/retry-after.ts';
import { TimeoutError } from '../../resilience/timeout.ts';
import { BodyError } from '../http/decode-body.ts';
import { AnswerTooLargeError, ExchangeError, type WireAnswer } from '../http/exchange.ts';
import { excerpt } from '../http/excerpt.ts';
import { faultCode } from '../http/fault-code.ts';
import { originOf } from '../http/origin.ts';
import { RequestError } from './request-error.ts';
import { type FaultCode, faultTable, type Meaning } from './responses.ts';
import { TokenRestsError } from '../auth/token-failure.ts';

/** Facts of an attempt that its error message may contain. */
export interface RequestFacts {
  api: string;
  method: string;
  url: Address;
  attempt: number;
  /** The request may be sent twice without harm. */
  repeatable: boolean;
  /** The host has answered before, so its name exists. */
  hasAnswered: boolean;
  /** After a 401: whether the credentials themselves are refused, and not only for this request. */
  refusesAll: () => boolean;
  redact: (text: string) => string;
  clock: Clock;
}

/** `API "crm", GET /contracts/7?…`: without query values, because they may be secret. */
function asked({ api, method, url }: RequestFacts): string {
  return `API "${api}", ${method} ${excerpt(url.pathname)}${url.search === '' ? '' : '?…'}`;
}

/** The error for an answer with an error status, or one that a rule calls an error. */
export function answerFailure(
  facts: RequestFacts,
  { meaning, wire, text }: { meaning: Meaning; wire: WireAnswer; text: string },
): RequestError {
  const { action, code } = meaning;
  const again = action === 'retry' || action === 'rate-limited';
  const resets = action === 'rate-limited' || wire.status === 503;
  const wait = again ? retryAfter(wire.headers, { wallNow: facts.clock.wallNow(), resets }) : undefined;
  const nonsense = again ? nonsenseRetryAfter(wire.headers, { wallNow: facts.clock.wallNow() }) : undefined;
  const asks =
    wait !== undefined
      ? `; it asks to wait ${Math.ceil(wait / 1000)} s`
      : nonsense !== undefined
        ? `; its Retry-After "${excerpt(facts.redact(nonsense))}" names no time within 24 hours and is ignored`
        : '';
  const target = wire.headers['location'];
  const said =
    code === 'REDIRECT_REFUSED'
      ? ` and points to ${typeof target === 'string' ? originOf(target, facts.url.href) : 'nowhere'}`
      : text.trim() === ''
        ? ''
        : ` with "${excerpt(facts.redact(text))}"`;
  return new RequestError({
    api: facts.api,
    attempts: facts.attempt,
    httpStatus: wire.status,
    code,
    class: meaning.class,
    message: `${asked(facts)} answered ${wire.status}${said}: ${meaning.reason}${asks}`,
    retryable: again,
    credentialsUseless: code === 'CREDENTIALS_REJECTED' && facts.refusesAll(),
    countsAgainstServer: wire.status >= 500 && action !== 'rate-limited',
    wait,
    retryAt: wait === undefined ? undefined : facts.clock.wallNow() + wait,
  });
}

/** The error for an exchange without a usable answer. */
export function faultFailure(
  facts: RequestFacts,
  {
    code,
    detail,
    cause,
    httpStatus,
    sent = true,
  }: { code: FaultCode; detail: string; cause?: unknown; httpStatus?: number; sent?: boolean },
): RequestError {
  const row = faultTable[code];
  return new RequestError({
    api: facts.api,
    attempts: facts.attempt,
    httpStatus,
    code,
    class: row.class,
    message: `${asked(facts)}: ${detail} (${row.reason})`,
    cause,
    retryable: row.retry && (facts.repeatable || !sent),
    countsAgainstServer: row.class === 'transient',
  });
}

/** Turns an error of an attempt into a RequestError. An abort's reason and programming errors stay unchanged. */
export function describeFailure(error: unknown, facts: RequestFacts): unknown {
  if (error instanceof RequestError) return error;
  if (error instanceof TimeoutError) {
    return faultFailure(facts, {
      code: 'TIMEOUT',
      detail: `no complete answer within ${error.timeout} ms`,
      cause: error,
    });
  }
  if (error instanceof AnswerTooLargeError) {
    return faultFailure(facts, {
      code: 'RESPONSE_TOO_LARGE',
      detail: 'the answer is longer than maxResponse allows',
      cause: error,
    });
  }
  if (error instanceof BodyError) {
    const code = {
      truncated: 'RESPONSE_TRUNCATED',
      malformed: 'RESPONSE_MALFORMED',
      'unknown-encoding': 'RESPONSE_ENCODING_UNKNOWN',
    } as const;
    return faultFailure(facts, {
      code: code[error.kind],
      detail: `the answer's body is unusable: ${error.message}`,
      cause: error,
    });
  }
  if (error instanceof ExchangeError) return brokenExchange(error, facts);
  if (error instanceof NightfillError) return outsideFailure(error, facts);
  return error;
}

function brokenExchange(error: ExchangeError, facts: RequestFacts): RequestError {
  const found = faultCode(error.cause);
  const code = found === 'DNS_NOT_FOUND' && facts.hasAnswered ? 'DNS_UNAVAILABLE' : found;
  const lost = error.answered && (code === 'CONNECTION_RESET' || code === 'RESPONSE_NOT_HTTP');
  return lost
    ? faultFailure(facts, {
        code: 'RESPONSE_TRUNCATED',
        detail: 'the connection ended in the middle of the answer',
        cause: error,
      })
    : faultFailure(facts, { code, detail: faultDetail(code, error, facts), cause: error, sent: error.written });
}

function faultDetail(code: FaultCode, { cause }: ExchangeError, { redact }: RequestFacts): string {
  const named = `no answer, ${code.toLowerCase().replaceAll('_', ' ')}`;
  if (code !== 'CONNECTION_FAILED' || !(cause instanceof Error)) return named;
  // Undici's assertion messages do not help users; other unknown errors have nothing but their message.
  return cause instanceof AssertionError
    ? 'the answer cannot be read as HTTP'
    : `${named}, "${excerpt(redact(cause.message))}"`;
}

/** The errors of the breaker, the deadline and the token server as a RequestError. */
function outsideFailure(error: NightfillError, facts: RequestFacts): RequestError {
  const wait = error instanceof BreakerOpenError ? error.retryAt - facts.clock.now() : undefined;
  const rests = error instanceof TokenRestsError;
  return new RequestError({
    api: facts.api,
    attempts: facts.attempt,
    code: error.code,
    class: error.class,
    message: `${asked(facts)}: ${error.message}`,
    cause: error,
    retryable:
      error.class === 'transient' &&
      !rests &&
      !(error instanceof BreakerOpenError) &&
      !(error instanceof DeadlineError),
    credentialsUseless: error.code === 'CREDENTIALS_REJECTED',
    retryAt: rests ? error.retryAt : wait === undefined || wait === Infinity ? undefined : facts.clock.wallNow() + wait,
  });
}
