import { z } from 'zod';
import { responseActions } from '../../sources/api/api-options.ts';
import { apiKindNames, apiKinds } from '../../sources/api/kinds.ts';
import { defaults } from './defaults.ts';
import { parseHttpUrl } from './url.ts';
import { byteSize, delay, duration, percentage, secret, text, textAs, wholeNumber } from './values.ts';

const headerName = "a header's name: letters, digits and -";
const headerNamePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const headerValuePattern = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Set by the client itself, or credentials, which belong under auth and are never printed. */
const ownedHeaders =
  /^(?:authorization|proxy-authorization|cookie|host|connection|content-length|transfer-encoding|accept-encoding|te|upgrade)$/i;

const httpUrl = () => textAs<string>('an address such as https://api.example.com/v1', { parse: parseHttpUrl });

const auth = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('none').describe('Nothing is sent. This is the default.') }),
    z.strictObject({
      type: z.literal('bearer').describe('Sent as `Authorization: Bearer TOKEN`.'),
      token: secret().describe('The token, as { env: NAME } or { file: PATH }.'),
    }),
    z.strictObject({
      type: z.literal('header').describe('Sent in a header of your choice.'),
      name: text(headerName, headerNamePattern).describe('The header that carries the secret, for example x-api-key.'),
      value: secret().describe('What the header holds, as { env: NAME } or { file: PATH }.'),
    }),
    z.strictObject({
      type: z.literal('basic').describe('Sent as `Authorization: Basic …`.'),
      username: text('a user name', /^[^:]+$/).describe('The user name; it is no secret.'),
      password: secret().describe('The password, as { env: NAME } or { file: PATH }.'),
    }),
    z.strictObject({
      type: z
        .literal('oauth2')
        .describe('The client credentials grant. The token is renewed before it expires, and once after a 401.'),
      tokenUrl: httpUrl().describe('The address where tokens are issued.'),
      clientId: text('a client id').describe('The client id; it is no secret.'),
      clientSecret: secret().describe('The client secret, as { env: NAME } or { file: PATH }.'),
      scope: text('scopes, separated by spaces')
        .exactOptional()
        .describe('The scopes to ask for, separated by spaces.'),
      audience: text('an audience').exactOptional().describe('The audience, which some token servers require.'),
    }),
  ])
  .describe('How requests prove who sends them.');

const pemFile = (what: string) => text('the path of a file with PEM text', /^[^\0]+$/).describe(what);

const tls = z
  .strictObject({
    ca: pemFile(
      'Certificates of the authorities to trust instead of the ones Node.js knows: a PEM file, relative to the job file.',
    ).exactOptional(),
    cert: pemFile(
      'The client certificate and its intermediates: a PEM file, relative to the job file. Needs key.',
    ).exactOptional(),
    key: secret()
      .exactOptional()
      .describe('The private key of cert, PEM text without a passphrase, as { env: NAME } or { file: PATH }.'),
  })
  .refine(({ ca, cert, key }) => ca !== undefined || cert !== undefined || key !== undefined, {
    error: 'ca, or cert and key, or all three',
  })
  .describe('Your own certificate authority, a client certificate, or both. Used for the origin of baseUrl only.');

const rate = z.strictObject({
  requests: wholeNumber(1, 1_000_000_000).describe('At most this many requests in any interval of the length per.'),
  per: duration().describe('The length of the interval, for example 1s.'),
});

const quota = z
  .strictObject({
    requests: wholeNumber(1, 1_000_000_000)
      .exactOptional()
      .describe('At most this many requests per day. May be left out where header is given.'),
    per: z
      .literal('day', { error: 'day' })
      .default('day')
      .describe('Days begin at midnight in the timezone of the job.'),
    reserve: percentage()
      .refine((share) => share < 1, { error: 'a percentage below 100%' })
      .prefault(defaults.quotaReserve)
      .describe('The share left for others: no chunk is started that could use part of it.'),
    header: text(headerName, headerNamePattern)
      .exactOptional()
      .describe('The response header that says what is left: a count, or used/total as in Sforce-Limit-Info.'),
  })
  .refine(({ requests, header }) => requests !== undefined || header !== undefined, {
    error: 'requests, the name of the header that tells what is left, or both',
  })
  .describe(
    'Requests per day, counted over all runs of all jobs in this database. The run stops with exit code 6 before it is used up, and continues on another day.',
  );

const limits = z.strictObject({
  concurrency: wholeNumber(1, 1000)
    .prefault(defaults.concurrency)
    .describe('The semaphore: at most this many requests in flight.'),
  rates: z
    .array(rate)
    .default([])
    .describe('Rolling windows; all of them hold at the same time. Default: none, only concurrency limits.'),
  headroom: percentage()
    .refine((share) => share < 1, { error: 'a percentage below 100%' })
    .prefault(defaults.headroom)
    .describe(
      'The share left for others who use the same API: each rate is lowered by it, rounded down, never below 1.',
    ),
  quota: quota.exactOptional(),
});

const retry = z
  .strictObject({
    attempts: wholeNumber(1, 100).prefault(defaults.retry.attempts).describe('Attempts in total, including the first.'),
    backoff: z
      .enum(['exponential', 'linear', 'constant'])
      .default(defaults.retry.backoff)
      .describe('How the delay grows from attempt to attempt.'),
    baseDelay: delay().prefault(defaults.retry.baseDelay).describe('The first delay; at most maxDelay.'),
    maxDelay: delay()
      .prefault(defaults.retry.maxDelay)
      .describe('The longest delay. A Retry-After of the API may be longer.'),
    jitter: z
      .boolean()
      .default(defaults.retry.jitter)
      .describe(
        'Draw each delay at random between 0 and its full length, so that many requests do not retry together.',
      ),
    maxElapsed: duration()
      .prefault(defaults.retry.maxElapsed)
      .describe(
        'No attempt starts later than this after the first. Time spent waiting for limits, or for an API that pauses all requests, does not count.',
      ),
  })
  .refine(({ baseDelay, maxDelay }) => baseDelay <= maxDelay, {
    path: ['baseDelay'],
    error: 'a first delay of at most maxDelay (200ms when it is not given)',
  })
  .describe(
    'Whether and when a failed request is sent again: after timeouts, connection faults, and statuses that time may mend, such as 429 and 503.',
  );

const breaker = z
  .strictObject({
    failureRate: percentage()
      .refine((share) => share > 0 && share <= 1, { error: 'a percentage above 0% and up to 100%' })
      .exactOptional()
      .describe('The share of failed requests that opens the breaker; one URL counts once per window. Default: 50%.'),
    window: duration().exactOptional().describe('The time over which requests are counted. Default: 30s.'),
    minimumCalls: wholeNumber(1)
      .exactOptional()
      .describe(
        'With fewer requests than this in the window the share is not judged. This many different URLs failing in a row open the breaker at once. Default: 20.',
      ),
    failures: wholeNumber(1)
      .exactOptional()
      .describe(
        'Failures in a row that open the breaker. Replaces the share, unless a key of the share is given as well.',
      ),
    openFor: duration()
      .prefault(defaults.breaker.openFor)
      .describe('How long an open breaker sends nothing, unless a 503 asks for another time in Retry-After.'),
    trials: wholeNumber(1)
      .exactOptional()
      .describe(
        `Trial requests sent after openFor; their share of failures decides whether the breaker closes. Default: ${defaults.breaker.trials}.`,
      ),
    successes: wholeNumber(1).exactOptional().describe('The former name of trials; give only one of the two.'),
  })
  .refine(({ trials, successes }) => trials === undefined || successes === undefined, {
    path: ['successes'],
    error: 'trials alone, which is the new name of successes',
  })
  .describe('The circuit breaker: stops sending to an API that keeps failing.');

const responseRule = z
  .strictObject({
    status: wholeNumber(100, 599).exactOptional().describe('The HTTP status, for example 400.'),
    contains: text('text to find in the answer').exactOptional().describe('Text to find in the body.'),
    action: z.enum(responseActions).describe('What such an answer means; needs status, contains or both.'),
  })
  .refine((rule) => rule.status !== undefined || rule.contains !== undefined, {
    error: 'a condition: status, contains or both',
  });

export const apiSchema = z.strictObject({
  type: z
    .literal(apiKindNames)
    .describe(`The kind of API. ${apiKindNames.map((name) => `${name}: ${apiKinds[name].description}.`).join(' ')}`),
  baseUrl: httpUrl().describe(
    'The address that all paths are below, http or https, without user, password, query or fragment. A trailing slash is dropped.',
  ),
  auth: auth.default({ type: 'none' }),
  headers: z
    .record(
      text(headerName, headerNamePattern).refine((name) => !ownedHeaders.test(name), {
        error: 'a header that is not set by Nightfill itself; credentials go under auth',
      }),
      text('text without line breaks', headerValuePattern),
    )
    .default({})
    .describe(
      'Headers sent with every request. Credentials go under auth; headers that Nightfill sets itself, such as host, are refused.',
    ),
  tls: tls.exactOptional(),
  limits: limits
    .prefault({})
    .describe('What is never exceeded: requests in flight, requests per time, requests per day.'),
  connections: wholeNumber(1, 1000)
    .exactOptional()
    .describe('The connection pool: at most this many open sockets. Default: as many as limits.concurrency.'),
  timeout: duration().prefault(defaults.timeout).describe('The time one attempt may take, including the body.'),
  retry: retry.prefault({}),
  breaker: breaker.prefault({}),
  responses: z
    .array(responseRule)
    .default([])
    .describe('What special answers mean. The first match wins; without a match the built-in table holds.'),
  maxResponse: byteSize(256e6)
    .prefault(defaults.maxResponse)
    .describe('The most bytes an answer may have once unpacked; a longer one is a failure. At most 256MB.'),
});
