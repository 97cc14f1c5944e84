import type { FailureClass } from '../../resilience/failure.ts';
import { headerText } from '../../resilience/server-time.ts';
import type { ResponseAction, ResponseRule } from './api-options.ts';
import type { AnswerHeaders } from '../http/exchange.ts';

/** What one kind of answer means. */
export interface Meaning {
  action: ResponseAction;
  class: FailureClass;
  /** Stable; stands in failures and reports. */
  code: string;
  /** Why it is read so; stands in messages. */
  reason: string;
}

interface Row extends Meaning {
  /** One status, or the first and last of a range. */
  status: number | readonly [number, number];
  /** What the headers have to say besides. */
  when?: (headers: AnswerHeaders) => boolean;
}

const saysWhenToReturn = (headers: AnswerHeaders): boolean =>
  headers['retry-after'] !== undefined ||
  ['x-ratelimit-remaining', 'ratelimit-remaining', 'x-rate-limit-remaining'].some(
    (name) => headerText(headers[name])?.trim() === '0',
  );

/**
 * The one table of what each status means; the first matching row wins.
 * A job file's `responses` come before it. `{status}` in a code is the number that came.
 */
export const statusTable: readonly Row[] = [
  {
    status: [204, 205],
    action: 'missing',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the server knows the address and has nothing there',
  },
  { status: [200, 299], action: 'ok', class: 'data', code: 'HTTP_{status}', reason: 'the answer is here' },
  {
    status: [300, 399],
    action: 'fail',
    class: 'config',
    code: 'REDIRECT_REFUSED',
    reason: 'following it could carry credentials to another server; the job file should name the real address',
  },
  {
    status: 401,
    action: 'unauthorized',
    class: 'config',
    code: 'CREDENTIALS_REJECTED',
    reason: 'an expired token is renewed once; any other credentials stay wrong',
  },
  {
    status: 403,
    when: saysWhenToReturn,
    action: 'rate-limited',
    class: 'transient',
    code: 'RATE_LIMITED',
    reason: 'with Retry-After, or nothing remaining of a limit, it says too many requests, as GitHub does',
  },
  {
    status: 403,
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'known and not allowed: only a change of rights helps',
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
  { status: 407, action: 'fail', class: 'config', code: 'HTTP_{status}', reason: 'a proxy wants credentials' },
  {
    status: [405, 406],
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'the address does not serve this kind of request',
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
    reason: 'too many requests: everyone who shares the limit waits',
  },
  {
    status: [400, 499],
    action: 'fail',
    class: 'data',
    code: 'HTTP_{status}',
    reason: 'the server refuses this very request; the same one again is refused again',
  },
  {
    status: [500, 500],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'the server failed and may not the next time',
  },
  {
    status: 501,
    action: 'fail',
    class: 'config',
    code: 'HTTP_{status}',
    reason: 'not implemented does not change overnight',
  },
  {
    status: [502, 504],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'a gateway without its server: restarts and deployments pass',
  },
  { status: 505, action: 'fail', class: 'config', code: 'HTTP_{status}', reason: 'the server does not speak HTTP/1.1' },
  {
    status: [506, 599],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'gateways report faults of their own here (520 to 526, 529), and all say the server is at fault',
  },
  {
    status: [600, 999],
    action: 'retry',
    class: 'transient',
    code: 'HTTP_{status}',
    reason: 'no such status exists: a box between, or a server that is failing, made it up',
  },
];

/** A 200 whose body is not the JSON it should be, and exchanges that never became an answer. */
export interface FaultRow {
  retry: boolean;
  class: FailureClass;
  reason: string;
}

/** What each way to fail without a meaningful status means, by its code. Retried ones are for requests that may be repeated. */
export const faultTable = {
  TIMEOUT: { retry: true, class: 'transient', reason: 'slow now is not slow for ever' },
  CONNECT_TIMEOUT: {
    retry: true,
    class: 'transient',
    reason: 'a host that is restarting or overloaded does not answer',
  },
  CONNECTION_REFUSED: { retry: true, class: 'transient', reason: 'a server that is restarting refuses' },
  CONNECTION_RESET: { retry: true, class: 'transient', reason: 'a server or a box between was restarted' },
  CONNECTION_FAILED: {
    retry: true,
    class: 'transient',
    reason: 'a fault of the connection that has no row of its own',
  },
  OUT_OF_FILE_DESCRIPTORS: {
    retry: true,
    class: 'system',
    reason:
      'this process, or this machine, may open no more files and sockets; raise the limit (ulimit -n), or lower connections and limits.concurrency',
  },
  HOST_UNREACHABLE: { retry: true, class: 'transient', reason: 'routes come back' },
  DNS_UNAVAILABLE: {
    retry: true,
    class: 'transient',
    reason: 'the name server did not answer, or no longer knows a host that answered tonight',
  },
  DNS_NOT_FOUND: { retry: false, class: 'config', reason: 'the name server answered that there is no such name' },
  TLS_CERTIFICATE_EXPIRED: {
    retry: false,
    class: 'config',
    reason: 'a certificate stays as it is until somebody renews it',
  },
  TLS_HOSTNAME_MISMATCH: { retry: false, class: 'config', reason: 'the certificate is for another host' },
  TLS_UNTRUSTED: { retry: false, class: 'config', reason: 'no known authority signed the certificate' },
  TLS_HANDSHAKE_FAILED: {
    retry: false,
    class: 'config',
    reason:
      'the two sides share no protocol, the port does not speak TLS, or the server wants a client certificate (tls.cert and tls.key)',
  },
  TLS_CLIENT_CERTIFICATE_REFUSED: {
    retry: false,
    class: 'config',
    reason: 'the server wants a client certificate, or another one; see tls.cert and tls.key',
  },
  PROXY_REFUSED: {
    retry: false,
    class: 'config',
    reason: 'the proxy wants credentials, or does not allow this host; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY',
  },
  PROXY_UNAVAILABLE: { retry: true, class: 'transient', reason: 'the proxy did not reach the host' },
  REQUEST_INVALID: { retry: false, class: 'config', reason: 'a header or the path cannot be sent over HTTP' },
  RESPONSE_NOT_HTTP: {
    retry: true,
    class: 'transient',
    reason: 'bytes that are no HTTP come from a half-started server',
  },
  RESPONSE_HEADERS_TOO_LARGE: { retry: false, class: 'config', reason: 'the headers pass 16 KiB, and would again' },
  RESPONSE_TRUNCATED: { retry: true, class: 'transient', reason: 'the connection ended before the answer did' },
  RESPONSE_EMPTY: {
    retry: true,
    class: 'transient',
    reason: 'a gateway whose server died under it sends a 200 with nothing',
  },
  RESPONSE_MALFORMED: {
    retry: true,
    class: 'transient',
    reason: 'an answer cut off without a length looks like this, and so does a server dying in mid-sentence',
  },
  RESPONSE_NOT_JSON: {
    retry: true,
    class: 'transient',
    reason: 'maintenance and login pages come with status 200 and go away',
  },
  RESPONSE_TOO_LARGE: { retry: false, class: 'data', reason: 'it would be as long again' },
  RESPONSE_TOO_DEEP: { retry: false, class: 'data', reason: 'it would be as deep again' },
  RESPONSE_ENCODING_UNKNOWN: { retry: false, class: 'config', reason: 'the server ignores accept-encoding' },
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof faultTable;

/** What the answer means: by the job file's rules in order, then by the table. */
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
  // Below 200 stand interim answers only, which are not the answer.
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

/** A rule overrules the table: the class follows from its action; the code from the status where that names an error. */
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
  return { action, class: ruledClass[action], code, reason: "a rule under the API's responses says so" };
}
