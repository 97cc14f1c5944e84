import { z } from 'zod';
import { responseActions } from '../../sources/api/api-options.ts';
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
    z.strictObject({ type: z.literal('none') }),
    z.strictObject({ type: z.literal('bearer'), token: secret() }),
    z.strictObject({
      type: z.literal('header'),
      name: text(headerName, headerNamePattern).describe('The header that carries the secret, for example x-api-key.'),
      value: secret(),
    }),
    z.strictObject({
      type: z.literal('basic'),
      username: text('a user name', /^[^:]+$/).describe('The user, no secret.'),
      password: secret(),
    }),
    z.strictObject({
      type: z.literal('oauth2'),
      tokenUrl: httpUrl().describe('Where tokens are issued (client credentials grant).'),
      clientId: text('a client id').describe('The client, no secret.'),
      clientSecret: secret(),
      scope: text('scopes, separated by spaces')
        .exactOptional()
        .describe('What the token is for, separated by spaces.'),
      audience: text('an audience').exactOptional().describe('The audience some servers want named.'),
    }),
  ])
  .describe('How requests prove who sends them: none, bearer, header, basic or oauth2 (client credentials).');

const pemFile = (what: string) => text('the path of a file with PEM text', /^[^\0]+$/).describe(what);

const tls = z
  .strictObject({
    ca: pemFile(
      'Certificates of the authorities to trust, in place of the usual ones: a PEM file, relative to the job file.',
    ).exactOptional(),
    cert: pemFile('The client certificate, with what stands between it and its authority: a PEM file.').exactOptional(),
    key: secret().exactOptional().describe('The private key of cert, as PEM text without a passphrase.'),
  })
  .refine(({ ca, cert, key }) => ca !== undefined || cert !== undefined || key !== undefined, {
    error: 'ca, or cert and key, or all three',
  })
  .describe('An authority of your own, and a client certificate. Used for the origin of baseUrl only.');

const rate = z.strictObject({
  requests: wholeNumber(1, 1_000_000_000).describe('At most this many requests …'),
  per: duration().describe('… in any interval of this length, for example 1s.'),
});

const quota = z
  .strictObject({
    requests: wholeNumber(1, 1_000_000_000)
      .exactOptional()
      .describe('At most this many requests per day. May be left out when header tells it.'),
    per: z
      .literal('day', { error: 'day' })
      .default('day')
      .describe('Days begin at midnight in the timezone of the job.'),
    reserve: percentage()
      .refine((share) => share < 1, { error: 'a percentage below 100%' })
      .prefault(defaults.quotaReserve)
      .describe('Left for others: no chunk is begun that could eat into it. Default 0%.'),
    header: text(headerName, headerNamePattern)
      .exactOptional()
      .describe('The header of its answers that tells what is left: a count, or used/all as Sforce-Limit-Info has it.'),
  })
  .refine(({ requests, header }) => requests !== undefined || header !== undefined, {
    error: 'requests, the name of the header that tells what is left, or both',
  })
  .describe(
    'Requests per day, counted over all runs. Before it is used up the run stops, to be continued another day.',
  );

const limits = z.strictObject({
  concurrency: wholeNumber(1, 1000)
    .prefault(defaults.concurrency)
    .describe('The semaphore: at most this many requests in flight. Default 10.'),
  rates: z
    .array(rate)
    .default([])
    .describe('Every window holds at once, rolling. Default: none, only concurrency limits.'),
  headroom: percentage()
    .refine((share) => share < 1, { error: 'a percentage below 100%' })
    .prefault(defaults.headroom)
    .describe(
      'Left for others who use the same API: each rate is lowered by this share, rounded down, never below 1. Default 0%.',
    ),
  quota: quota.exactOptional(),
});

const retry = z
  .strictObject({
    attempts: wholeNumber(1, 100)
      .prefault(defaults.retry.attempts)
      .describe('Attempts in all, the first one counted. Default 5.'),
    backoff: z
      .enum(['exponential', 'linear', 'constant'])
      .default(defaults.retry.backoff)
      .describe('How the delay grows from attempt to attempt. Default exponential.'),
    baseDelay: delay().prefault(defaults.retry.baseDelay).describe('The first delay. Default 200ms.'),
    maxDelay: delay()
      .prefault(defaults.retry.maxDelay)
      .describe('No delay of ours is longer (a Retry-After may be). Default 30s.'),
    jitter: z
      .boolean()
      .default(defaults.retry.jitter)
      .describe('Draw each delay from 0 to itself, so that many do not retry together. Default true.'),
    maxElapsed: duration()
      .prefault(defaults.retry.maxElapsed)
      .describe(
        'No attempt starts later than this after the first; waits for our own limits, and with everybody, do not count. Default 2m.',
      ),
  })
  .refine(({ baseDelay, maxDelay }) => baseDelay <= maxDelay, {
    path: ['baseDelay'],
    error: 'a first delay of at most maxDelay (200ms when it is not given)',
  })
  .describe('When a request failed for a cause that time mends.');

const breaker = z
  .strictObject({
    failureRate: percentage()
      .refine((share) => share > 0 && share <= 1, { error: 'a percentage above 0% and up to 100%' })
      .exactOptional()
      .describe(
        'The share of failed requests that opens the circuit; one address counts once per window. Default 50%.',
      ),
    window: duration().exactOptional().describe('The time over which they are counted. Default 30s.'),
    minimumCalls: wholeNumber(1)
      .exactOptional()
      .describe(
        'Fewer requests than this within the window say nothing; as many addresses in a row that fail open it at once. Default 20.',
      ),
    failures: wholeNumber(1)
      .exactOptional()
      .describe(
        'Failures in a row that open the circuit, instead of a share of them, or besides when that is given too.',
      ),
    openFor: duration()
      .prefault(defaults.breaker.openFor)
      .describe('How long nothing is sent then, unless a 503 says so in Retry-After. Default 30s.'),
    trials: wholeNumber(1)
      .exactOptional()
      .describe('Requests that are tried then; their share of failures decides. Default 5.'),
    successes: wholeNumber(1).exactOptional().describe('The former name of trials.'),
  })
  .refine(({ trials, successes }) => trials === undefined || successes === undefined, {
    path: ['successes'],
    error: 'trials alone, which is the new name of successes',
  })
  .describe('Stops sending to an API that keeps failing.');

const responseRule = z
  .strictObject({
    status: wholeNumber(100, 599).exactOptional().describe('The HTTP status, for example 400.'),
    contains: text('text to find in the answer').exactOptional().describe('Text that stands somewhere in the body.'),
    action: z.enum(responseActions).describe('What such an answer means.'),
  })
  .refine((rule) => rule.status !== undefined || rule.contains !== undefined, {
    error: 'a condition: status, contains or both',
  });

export const apiSchema = z.strictObject({
  type: z.literal('rest').describe('The kind of API. Available in this version: rest.'),
  baseUrl: httpUrl().describe('Address all paths are below, http or https. A trailing slash is dropped.'),
  auth: auth.default({ type: 'none' }),
  headers: z
    .record(
      text(headerName, headerNamePattern).refine((name) => !ownedHeaders.test(name), {
        error: 'a header that is not set by Nightfill itself; credentials go under auth',
      }),
      text('text without line breaks', headerValuePattern),
    )
    .default({})
    .describe('Headers sent with every request. Credentials go under auth.'),
  tls: tls.exactOptional(),
  limits: limits.prefault({}).describe('What is never exceeded: requests in flight, and requests per time.'),
  connections: wholeNumber(1, 1000)
    .exactOptional()
    .describe('The pool: at most this many open sockets. Default: as many as limits.concurrency.'),
  timeout: duration().prefault(defaults.timeout).describe('Of one attempt, body included. Default 30s.'),
  retry: retry.prefault({}),
  breaker: breaker.prefault({}),
  responses: z
    .array(responseRule)
    .default([])
    .describe('What special answers mean; the first match wins, otherwise the built-in table holds.'),
  maxResponse: byteSize(256e6)
    .prefault(defaults.maxResponse)
    .describe('A longer answer, unpacked, is a failure. MB are 1000 × 1000 bytes, MiB 1024 × 1024. Default 32MB.'),
});
