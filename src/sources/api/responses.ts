import type { FailureClass } from '../../resilience/failure.ts';
import { headerText } from '../../resilience/server-time.ts';
import type { ResponseAction, ResponseRule } from './api-options.ts';
import type { AnswerHeaders } from '../http/exchange.ts';

/** The meaning of an answer. */
export interface Meaning {
  action: ResponseAction;
  class: FailureClass;
  /** Stable; appears in failures and reports. */
  code: string;
  /** Why the answer has this meaning; appears in messages. */
  reason: string;
}

interface Row extends Meaning {
  /** One status, or the first and last of a range. */
  status: number | readonly [number, number];
  /** A further condition on the headers. */
  when?: (headers: AnswerHeaders) => boolean;
}

const announcesLimit = (headers: AnswerHeaders): boolean =>
  headers['retry-after'] !== undefined ||
  ['x-ratelimit-remaining', 'ratelimit-remaining', 'x-rate-limit-remaining'].some(
    (name) => headerText(headers[name])?.trim() === '0',
  );

/**
 * The meaning of each status; the first matching row wins.
 * A job file's `responses` are checked before it. `{status}` in a code stands for the status.
 */
export const statusTable: readonly Row[] = [
  {
    status: [204, 205],
    action: 'missing',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the server has no record at this address',
  },
  { status: [200, 299], action: 'ok', class: 'data', code: 'HTTP_{status}', reason: 'the answer is here' },
  {
    status: [300, 399],
    action: 'fail',
    class: 'config',
    code: 'REDIRECT_REFUSED',
    reason: 'following it could send credentials to another server; set baseUrl to the real address',
  },
  {
    status: 401,
    action: 'unauthorized',
    class: 'config',
    code: 'CREDENTIALS_REJECTED',
    reason: 'the credentials are refused; an OAuth token is renewed once before that',
  },
  {
    status: 403,
    when: announcesLimit,
    action: 'rate-limited',
    class: 'transient',
    code: 'RATE_LIMITED',
    reason: 'with Retry-After, or a remaining limit of 0, it means too many requests, as at GitHub',
  },
  {
    status: 403,
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'the credentials lack a permission; grant it at the API',
  },
  {
    status: [404, 404],
    action: 'missing',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the record does not exist, and asking again does not create it',
  },
  {
    status: 410,
    action: 'missing',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the record existed and was removed',
  },
  { status: 407, action: 'fail', class: 'config', code: 'HTTP_{status}', reason: 'a proxy requires credentials' },
  {
    status: [405, 406],
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'the address does not support this method or format',
  },
  {
    status: 408,
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'the server gave up waiting for the request to arrive',
  },
  {
    status: 429,
    action: 'rate-limited',
    class: 'transient',
    code: 'RATE_LIMITED',
    reason: 'too many requests; all requests that share the limit wait',
  },
  {
    status: [400, 499],
    action: 'fail',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the server refuses this request and would refuse it again',
  },
  {
    status: [500, 500],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'the server failed; the next attempt may succeed',
  },
  {
    status: 501,
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'the server does not implement this request',
  },
  {
    status: [502, 504],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'a gateway does not reach its server, usually only for a while',
  },
  { status: 505, action: 'fail', class: 'config', code: 'HTTP_{status}', reason: 'the server does not speak HTTP/1.1' },
  {
    status: [506, 599],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'gateways report faults of the server with these (520 to 526, 529)',
  },
  {
    status: [600, 999],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'no such status exists; a proxy or a failing server sent it',
  },
];

/** The meaning of a 200 whose body is not the expected JSON, or of an exchange without an answer. */
interface FaultRow {
  retry: boolean;
  class: FailureClass;
  reason: string;
}

/** The meaning of each failure without a meaningful status, by code. `retry` applies to requests that may be sent twice. */
export const faultTable = {
  TIMEOUT: { retry: true, class: 'transient', reason: 'the next attempt may be faster' },
  CONNECT_TIMEOUT: {
    retry: true,
    class: 'transient',
    reason: 'the host may be restarting or overloaded',
  },
  CONNECTION_REFUSED: { retry: true, class: 'transient', reason: 'the server may be restarting' },
  CONNECTION_RESET: { retry: true, class: 'transient', reason: 'the server or a proxy may have been restarted' },
  CONNECTION_FAILED: {
    retry: true,
    class: 'transient',
    reason: 'a fault of the connection without a code of its own',
  },
  OUT_OF_FILE_DESCRIPTORS: {
    retry: true,
    class: 'system',
    reason:
      'this process, or this machine, cannot open more files and sockets; raise the limit (ulimit -n), or lower connections and limits.concurrency',
  },
  HOST_UNREACHABLE: {
    retry: true,
    class: 'transient',
    reason: 'there is no route to the host, usually only for a while',
  },
  DNS_UNAVAILABLE: {
    retry: true,
    class: 'transient',
    reason: 'the name server did not answer, or no longer knows a host that answered before',
  },
  DNS_NOT_FOUND: { retry: false, class: 'config', reason: 'the name server knows no such host; check the address' },
  TLS_CERTIFICATE_EXPIRED: {
    retry: false,
    class: 'config',
    reason: 'the certificate has to be renewed, or is not valid yet',
  },
  TLS_HOSTNAME_MISMATCH: { retry: false, class: 'config', reason: 'the certificate is for another host' },
  TLS_UNTRUSTED: { retry: false, class: 'config', reason: 'no known authority signed the certificate' },
  TLS_HANDSHAKE_FAILED: {
    retry: false,
    class: 'config',
    reason:
      'the two sides share no protocol, the port does not speak TLS, or the server requires a client certificate (tls.cert and tls.key)',
  },
  TLS_CLIENT_CERTIFICATE_REFUSED: {
    retry: false,
    class: 'config',
    reason: 'the server requires a client certificate, or another one; see tls.cert and tls.key',
  },
  PROXY_REFUSED: {
    retry: false,
    class: 'config',
    reason: 'the proxy requires credentials, or does not allow this host; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY',
  },
  PROXY_UNAVAILABLE: { retry: true, class: 'transient', reason: 'the proxy did not reach the host' },
  REQUEST_INVALID: { retry: false, class: 'config', reason: 'a header or the path cannot be sent over HTTP' },
  RESPONSE_NOT_HTTP: {
    retry: true,
    class: 'transient',
    reason: 'the answer is not HTTP; the server may be starting',
  },
  RESPONSE_HEADERS_TOO_LARGE: { retry: false, class: 'config', reason: 'the headers are longer than 16 KiB' },
  RESPONSE_TRUNCATED: { retry: true, class: 'transient', reason: 'the connection ended before the answer did' },
  RESPONSE_EMPTY: {
    retry: true,
    class: 'transient',
    reason: 'a gateway whose server fails may send this',
  },
  RESPONSE_MALFORMED: {
    retry: true,
    class: 'transient',
    reason: 'the answer may have been cut off',
  },
  RESPONSE_NOT_JSON: {
    retry: true,
    class: 'transient',
    reason: 'it may be a maintenance or login page, usually only for a while',
  },
  RESPONSE_TOO_LARGE: { retry: false, class: 'data', reason: 'the next answer would be as long' },
  RESPONSE_TOO_DEEP: { retry: false, class: 'data', reason: 'the next answer would be as deep' },
  RESPONSE_ENCODING_UNKNOWN: { retry: false, class: 'config', reason: 'the server ignores accept-encoding' },
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof faultTable;

/** The meaning of an answer: by the job file's rules in order, then by the table. */
export function meaningOf({
  status,
  headers,
  text,
  rules,
}: {
  status: number;
  headers: AnswerHeaders;
  text: string;
  rules: readonly ResponseRule[];
}): Meaning {
  const rule = rules.find(
    (candidate) =>
      (candidate.status === undefined || candidate.status === status) &&
      (candidate.contains === undefined || text.includes(candidate.contains)),
  );
  const listed = listedMeaning(status, headers);
  return rule && rule.action !== listed.action ? ruledMeaning(rule.action, status) : listed;
}

function listedMeaning(status: number, headers: AnswerHeaders): Meaning {
  const row = statusTable.find(({ status: range, when = always }) => {
    const [first, last] = typeof range === 'number' ? [range, range] : range;
    return status >= first && status <= last && when(headers);
  });
  // A status below 200 is treated as an unknown status, because interim answers never get here.
  const { action, class: failureClass, code, reason } = row ?? statusTable.at(-1)!;
  return { action, class: failureClass, code: code.replace('{status}', String(status)), reason };
}

const always = (): boolean => true;

const ruledClass = {
  ok: 'data',
  retry: 'transient',
  'rate-limited': 'transient',
  fail: 'data',
  missing: 'data',
  unauthorized: 'config',
} as const satisfies Record<ResponseAction, FailureClass>;

/** The meaning by a rule: the class follows from its action; the code from the status if that is an error. */
function ruledMeaning(action: ResponseAction, status: number): Meaning {
  const code =
    action === 'rate-limited'
      ? 'RATE_LIMITED'
      : action === 'unauthorized'
        ? 'CREDENTIALS_REJECTED'
        : status >= 400
          ? `HTTP_${status}`
          : action === 'missing'
            ? 'RECORD_MISSING'
            : 'RESPONSE_RULED';
  return { action, class: ruledClass[action], code, reason: "by a rule under the API's responses" };
}
