import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../../../src/sources/api/api.ts';
import type { Rest } from '../../../src/sources/api/api-request.ts';
import { Secret } from '../../../src/sources/auth/secret.ts';
import { apiOptions, failure, rests } from '../../support/api-fixture.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer, type RecordedRequest, type ScriptedAnswer } from '../../support/scripted-server.ts';

type Changes = Parameters<typeof apiOptions>[1];

/** One server for tokens and records; `token` answers the nth request for one, `record` the others. */
async function startCrm(
  o: {
    token?: (nth: number) => ScriptedAnswer;
    record?: (request: RecordedRequest) => ScriptedAnswer;
    clock?: FakeClock;
    changes?: Changes;
    /** Another server gives the tokens. */
    elsewhere?: boolean;
    onRest?: (rest: Rest) => void;
  } = {},
) {
  const tokens: RecordedRequest[] = [];
  const records: RecordedRequest[] = [];
  const issue = (n: number): ScriptedAnswer => ({ json: { access_token: `token-${n}`, expires_in: 3600 } });
  const script = (request: RecordedRequest): ScriptedAnswer => {
    if (request.url === '/token') return (o.token ?? issue)(tokens.push(request));
    records.push(request);
    return (o.record ?? (() => ({ json: 'in' })))(request);
  };
  const server = await ScriptedServer.start(script);
  const other = o.elsewhere ? await ScriptedServer.start(script) : undefined;
  const api = new Api(
    apiOptions(server.origin, {
      auth: {
        type: 'oauth2',
        tokenUrl: `${(other ?? server).origin}/token`,
        clientId: 'me',
        clientSecret: new Secret('geheim+1'),
      },
      ...o.changes,
    }),
    { ...(o.clock && { clock: o.clock }), onRest: o.onRest },
  );
  return {
    api,
    tokens,
    records,
    async [Symbol.asyncDispose]() {
      await api.close();
      await server[Symbol.asyncDispose]();
      await other?.[Symbol.asyncDispose]();
    },
  };
}

const issued = (n: number): ScriptedAnswer => ({ json: { access_token: `token-${n}`, expires_in: 3600 } });

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(1);
}

test('a token server that asks for a minute gets one request a minute, and everybody waits without an attempt', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    elsewhere: true,
    token: (n) => (n <= 2 ? { status: 429, headers: { 'retry-after': '60' }, body: '' } : issued(n)),
    // Shorter than the rest that is asked for: that is waited for nevertheless.
    changes: { retry: { maxElapsed: 90_000, attempts: 1 } },
  });
  const answers = Array.from({ length: 40 }, async (_, n) => crm.api.request({ url: `/${n}`, deadline: 600_000 }));
  for (const asked of [1, 2]) {
    // All ten that hold a slot wait for the minute to be over.
    await until(() => clock.pending.filter((due) => due === clock.now() + 60_000).length === 10);
    await clock.advance(59_999);
    assert.equal(crm.tokens.length, asked);
    await clock.advance(1);
  }
  for (const { attempts } of await Promise.all(answers)) assert.equal(attempts, 1);
  assert.equal(crm.tokens.length, 3);
  assert.equal(crm.records.length, 40);
  assert.equal(crm.api.statistics().retries, 0);
});

test('a rest beyond the deadline fails at once with the time to try again, and sends nothing more', async () => {
  const clock = new FakeClock();
  const told: Rest[] = [];
  await using crm = await startCrm({
    clock,
    onRest: (rest) => told.push(rest),
    token: () => ({ status: 503, headers: { 'retry-after': '3600' }, body: '' }),
  });
  for (const url of ['/a', '/b']) {
    const error = await rests(crm.api.request({ url, deadline: 600_000 }));
    assert.equal(error.retryAt, clock.wallNow() + 3_600_000);
    assert.match(error.message, /rests until 2026-01-01T01:00:00.*answered 503/);
    assert.doesNotMatch(error.message, /geheim/);
  }
  assert.equal(crm.api.statistics().rests?.until, clock.wallNow() + 3_600_000);
  assert.deepEqual(told, [{ api: 'crm', until: clock.wallNow() + 3_600_000, because: 'asked' }]);
  assert.equal(crm.tokens.length, 1);
});

test('only a caller with a fallback does not wait for a resting token server', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    token: (n) => (n === 1 ? { status: 503, headers: { 'retry-after': '60' }, body: '' } : issued(n)),
  });
  const patient = crm.api.request({ url: '/a', deadline: 600_000 });
  const error = await failure(crm.api.request({ url: '/b', deadline: 600_000, waitForBreaker: false }));
  assert.equal(error.code, 'TOKEN_UNAVAILABLE');
  await clock.advance(60_000);
  assert.equal((await patient).body, 'in');
});

test('without a deadline a rest of hours is waited for if the token server stated its end', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    token: (n) => (n === 1 ? { status: 503, headers: { 'retry-after': '10800' }, body: '' } : issued(n)),
  });
  const answer = crm.api.request({ url: '/a' });
  await until(() => crm.api.statistics().rests !== undefined);
  await clock.advance(10_800_000);
  assert.equal((await answer).body, 'in');
});

for (const delays of [
  { baseDelay: 20, maxDelay: 80 },
  { baseDelay: 0, maxDelay: 0 },
])
  test(`a token server that stays down without a word is asked at the pace of one backoff for all (${delays.baseDelay} ms)`, async () => {
    await using crm = await startCrm({
      token: () => ({ status: 500, body: '' }),
      changes: { retry: { ...delays, attempts: 1 } },
    });
    const deadline = performance.now() + 200;
    await Promise.all(Array.from({ length: 30 }, async (_, n) => rests(crm.api.request({ url: `/${n}`, deadline }))));
    // 10, 20, 40 and 80 ms apart at the fastest, and no new one begins when the deadline is over.
    assert.ok(crm.tokens.length <= 5, `${crm.tokens.length} requests for a token`);
  });

test('a token server that states a new time again and again is waited for at most a day', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    token: () => ({ status: 503, headers: { 'retry-after': '40000' }, body: '' }),
  });
  const end = rests(crm.api.request({ url: '/a' }));
  for (const asked of [1, 2]) {
    await until(() => crm.tokens.length === asked && crm.api.statistics().rests !== undefined);
    await clock.advance(40_000_000);
  }
  assert.equal((await end).retryAt, clock.wallNow() + 40_000_000);
  assert.equal(crm.tokens.length, 3);
});

test('an answer that no token server should give is asked for again, and only one that stays is taken for a refusal', async () => {
  for (const odd of [
    { status: 404, body: '<html>' },
    { body: '<html>Back soon' },
    { body: '' },
    { json: { access_token: 'a\nb' } },
  ]) {
    await using crm = await startCrm({ token: (n) => (n === 1 ? odd : issued(n)) });
    assert.equal((await crm.api.request({ url: '/a' })).attempts, 1);
    await using never = await startCrm({ token: () => odd });
    for (const url of ['/a', '/b'])
      assert.equal((await failure(never.api.request({ url }))).code, 'CREDENTIALS_REJECTED');
    // As many as the API's own attempts, and none for the second request.
    assert.equal(never.tokens.length, 3);
  }
});

test('a refusal by the token server is final, and no request asks it again', async () => {
  await using crm = await startCrm({ token: () => ({ status: 400, json: { error: 'invalid_client' } }) });
  for (const url of ['/a', '/b', '/c']) {
    const error = await failure(crm.api.request({ url }));
    assert.deepEqual([error.code, error.credentialsUseless], ['CREDENTIALS_REJECTED', true]);
  }
  assert.equal(crm.tokens.length, 1);
  assert.equal(crm.records.length, 0);
});

test('records that may not be seen cost one renewal between them, and fail alone', async () => {
  await using crm = await startCrm({
    record: ({ url }) => (Number(url.slice(1)) % 15 === 14 ? { status: 401, json: {} } : { json: url }),
  });
  const ended = await Promise.allSettled(
    Array.from({ length: 300 }, async (_, n) => crm.api.request({ url: `/${n}` })),
  );
  const refused = ended.filter(({ status }) => status === 'rejected');
  assert.equal(refused.length, 20);
  for (const { reason } of refused as PromiseRejectedResult[])
    assert.deepEqual([reason.code, reason.credentialsUseless], ['CREDENTIALS_REJECTED', false]);
  assert.equal(crm.tokens.length, 2);
});

test('a token that is revoked after a record was refused is renewed all the same', async () => {
  const clock = new FakeClock();
  let good = ['token-1', 'token-2'];
  await using crm = await startCrm({
    clock,
    record: ({ url, headers }) =>
      url !== '/secret' && good.includes(headers.authorization!.slice(7)) ? { json: 'in' } : { status: 401, json: {} },
    changes: { limits: { concurrency: 1, rates: [] } },
  });
  await crm.api.request({ url: '/a' });
  assert.equal((await failure(crm.api.request({ url: '/secret' }))).credentialsUseless, false);
  await crm.api.request({ url: '/b' });
  assert.equal(crm.tokens.length, 2);
  good = ['token-3'];
  await clock.advance(6 * 60_000);
  assert.equal((await crm.api.request({ url: '/c' })).body, 'in');
  assert.equal(crm.tokens.length, 3);
});

test('a token is used to its end when its early renewal fails', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    token: (n) => (n === 1 ? issued(n) : { status: 503, headers: { 'retry-after': '20' }, body: '' }),
  });
  await crm.api.request({ url: '/a' });
  await clock.advance(3_550_000);
  for (const url of ['/b', '/c']) assert.equal((await crm.api.request({ url })).body, 'in');
  assert.equal(crm.tokens.length, 2);
});

test('token requests to the API itself take its permits and count as its requests, also with a concurrency of one', async () => {
  const clock = new FakeClock();
  await using crm = await startCrm({
    clock,
    changes: { limits: { concurrency: 1, rates: [{ requests: 1, per: 1_000 }] } },
  });
  const answers = ['/a', '/b'].map(async (url) => crm.api.request({ url, deadline: 60_000 }));
  await until(() => crm.tokens.length === 1 && clock.pending.length > 0);
  assert.equal(crm.records.length, 0);
  for (const sent of [1, 2]) {
    await clock.advance(1_200);
    await until(() => crm.records.length === sent);
  }
  await Promise.all(answers);
  const { requests, statuses, rates } = crm.api.statistics();
  assert.deepEqual({ requests, statuses, peak: rates[0]?.peak }, { requests: 3, statuses: { 200: 3 }, peak: 1 });
});

test('token requests to another server take no permit of the API', async () => {
  await using crm = await startCrm({
    elsewhere: true,
    changes: { limits: { rates: [{ requests: 1, per: 60_000 }] } },
  });
  await crm.api.request({ url: '/a' });
  assert.equal(crm.api.statistics().requests, 1);
});
