import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RequestError } from '../../src/sources/api.ts';
import { ApiRestsError } from '../../src/sources/api-rests-error.ts';
import { startApi } from '../support/api-fixture.ts';

test('an answer carries its JSON with every digit', async () => {
  const body = '{"amount":12345678901234567.80}';
  await using crm = await startApi(() => ({ body, headers: { 'content-type': 'application/json' } }));
  const answer = await crm.api.request({ url: '/contracts/1' });
  assert.equal(answer.status, 200);
  assert.equal(answer.attempts, 1);
  assert.equal(answer.bytes, body.length);
  assert.equal(JSON.stringify(answer.body), body);
});

test('a request carries its headers and body, its own headers winning over those of the API', async () => {
  await using crm = await startApi(() => ({ json: {} }), { headers: { 'X-Client': 'api', 'X-Api': 'yes' } });
  await crm.api.request({ method: 'POST', url: '/query', headers: { 'x-client': 'request' }, body: '{"q":1}' });
  const [seen] = crm.server.requests;
  assert.equal(seen?.method, 'POST');
  assert.equal(seen?.body, '{"q":1}');
  assert.equal(seen?.headers['x-client'], 'request');
  assert.equal(seen?.headers['x-api'], 'yes');
  assert.equal(seen?.headers['content-type'], 'application/json');
});

test('a server error is asked again and counted, and the answer that follows is given', async () => {
  await using crm = await startApi(() => (crm.server.requests.length < 3 ? { status: 503, json: {} } : { json: [1] }));
  const answer = await crm.api.request({ url: '/contracts/1' });
  assert.deepEqual(answer.body, [1]);
  assert.equal(answer.attempts, 3);
  const { requests, retries, statuses } = crm.api.statistics();
  assert.deepEqual({ requests, retries, statuses }, { requests: 3, retries: 2, statuses: { 200: 1, 503: 2 } });
});

test('attempts are bounded, and the last failure names status, attempts, address and the beginning of the answer', async () => {
  await using crm = await startApi(() => ({ status: 500, body: `oh\nno ${'x'.repeat(1000)}` }));
  const error = await failure(crm.api.request({ url: '/contracts/7?token=geheim' }));
  assert.equal(error.code, 'HTTP_500');
  assert.equal(error.class, 'transient');
  assert.equal(error.attempts, 3);
  assert.equal(error.httpStatus, 500);
  assert.equal(error.api, 'crm');
  assert.match(error.message, /API "crm", GET \/contracts\/7\?… answered 500 with "oh no x/);
  assert.doesNotMatch(error.message, /geheim|\n/);
  assert.ok(error.message.length < 400);
  assert.equal(crm.server.requests.length, 3);
});

for (const [status, code, failureClass] of [
  [400, 'HTTP_400', 'data'],
  [403, 'HTTP_403', 'config'],
  [404, 'HTTP_404', 'data'],
  [418, 'HTTP_418', 'data'],
  [422, 'HTTP_422', 'data'],
  [501, 'HTTP_501', 'config'],
  [204, 'HTTP_204', 'data'],
  [401, 'CREDENTIALS_REJECTED', 'config'],
] as const) {
  test(`status ${status} is asked once and is ${code}`, async () => {
    await using crm = await startApi(() => ({ status, body: '' }));
    const error = await failure(crm.api.request({ url: '/a' }));
    assert.deepEqual([error.code, error.class, error.attempts], [code, failureClass, 1]);
    assert.equal(crm.server.requests.length, 1);
  });
}

test('a redirect is refused, its target is named by origin only, and nothing is asked there', async () => {
  await using other = await startApi(() => ({ json: {} }));
  await using crm = await startApi(
    () => ({ status: 302, headers: { location: `${other.server.origin}/in?key=geheim` }, body: '' }),
    {
      auth: { type: 'none' },
    },
  );
  const error = await failure(crm.api.request({ url: '/a' }));
  assert.equal(error.code, 'REDIRECT_REFUSED');
  assert.ok(error.message.includes(other.server.origin));
  assert.doesNotMatch(error.message, /geheim|\/in/);
  assert.deepEqual(other.server.requests, []);
});

test('another origin, or a user name in the address, is never asked', async () => {
  await using other = await startApi(() => ({ json: {} }));
  await using crm = await startApi(() => ({ json: {} }));
  for (const url of [
    `${other.server.origin}/a`,
    `//127.0.0.1:1/a`,
    '\\\\127.0.0.1/a',
    crm.server.origin.replace('http://', 'http://user@'),
    'javascript:alert(1)',
  ]) {
    await assert.rejects(crm.api.request({ url }), { code: 'FOREIGN_ORIGIN' });
  }
  assert.deepEqual([...other.server.requests, ...crm.server.requests], []);
});

test('a path below the base address keeps its prefix, encodes its query and refuses to climb', async () => {
  await using crm = await startApi(() => ({ json: {} }));
  const { api } = crm;
  assert.equal(api.resolveUrl('/a/b', { q: 'x y&z', r: '' }), `${crm.server.origin}/a/b?q=x%20y%26z&r=`);
  assert.equal(api.resolveUrl('a?own=1', { q: '2' }), `${crm.server.origin}/a?own=1&q=2`);
  for (const path of ['/contracts/..', '/contracts/../admin', '/contracts/%2E%2e/x', '/contracts/.', '/a\\..\\b']) {
    assert.throws(() => api.resolveUrl(path, {}), { code: 'PATH_NOT_ALLOWED' });
  }
  assert.equal(api.resolveUrl('/contracts/..a/...', {}), `${crm.server.origin}/contracts/..a/...`);
});

test("a job file's rule comes before the table and may read the body, also of a 200", async () => {
  await using crm = await startApi(
    ({ url }) =>
      url === '/busy' && crm.server.requests.length < 2
        ? { status: 400, json: { code: 'SSS_REQUEST_LIMIT_EXCEEDED' } }
        : url === '/error'
          ? { json: { ok: false, error: 'gone' } }
          : { json: { ok: true } },
    {
      responses: [
        { status: 400, contains: 'SSS_REQUEST_LIMIT_EXCEEDED', action: 'rate-limited' },
        { contains: '"ok":false', action: 'missing' },
      ],
    },
  );
  assert.deepEqual((await crm.api.request({ url: '/busy' })).body, { ok: true });
  assert.equal(crm.api.statistics().rateLimited, 1);
  const error = await failure(crm.api.request({ url: '/error' }));
  assert.deepEqual([error.code, error.class, error.httpStatus], ['RECORD_MISSING', 'data', 200]);
});

test('after 429 nobody is sent before the time the server gave', async () => {
  const answers = [{ status: 429, headers: { 'retry-after': '0.3' }, body: '' }];
  await using crm = await startApi(() => answers.shift() ?? { json: 1 }, {
    limits: { rates: [{ requests: 50, per: 1000 }] },
  });
  const first = crm.api.request({ url: '/first' });
  while (crm.server.requests.length === 0 || crm.api.statistics().rateLimited === 0) await delay(1);
  await Promise.all([first, crm.api.request({ url: '/second' })]);
  const [limited, ...later] = crm.server.requests;
  assert.equal(later.length, 2);
  for (const { at } of later) assert.ok(at - limited!.at >= 300, `${at - limited!.at} ms`);
});

test('without a rate limit too a 429 holds everybody back', async () => {
  const answers = [{ status: 429, headers: { 'retry-after': '0.2' }, body: '' }];
  await using crm = await startApi(() => answers.shift() ?? { json: 1 });
  const first = crm.api.request({ url: '/first' });
  while (crm.api.statistics().rateLimited === 0) await delay(1);
  await Promise.all([first, crm.api.request({ url: '/second' })]);
  const [limited, ...later] = crm.server.requests;
  for (const { at } of later) assert.ok(at - limited!.at >= 200, `${at - limited!.at} ms`);
});

test('a rest beyond the deadline is not waited for, by this request and by all after it, and names its end', async () => {
  await using crm = await startApi(() => ({ status: 429, headers: { 'retry-after': '3600' }, body: '' }));
  for (const expectedRequests of [1, 1]) {
    const error = await rests(crm.api.request({ url: '/a', deadline: performance.now() + 60_000 }));
    assert.ok(Math.abs(error.retryAt! - Date.now() - 3_600_000) < 60_000);
    assert.equal(crm.server.requests.length, expectedRequests);
  }
});

test('a rest longer than maxElapsed is waited for when the deadline allows it, and nobody fails', async () => {
  const answers = [{ status: 429, headers: { 'retry-after': '0.4' }, body: '' }];
  await using crm = await startApi(() => answers.shift() ?? { json: 1 }, { retry: { maxElapsed: 50, attempts: 1 } });
  const deadline = performance.now() + 60_000;
  await Promise.all(['/a', '/b', '/c'].map(async (url) => crm.api.request({ url, deadline })));
  const { rateLimited, retries } = crm.api.statistics();
  assert.deepEqual([rateLimited, retries], [1, 1]);
});

test('one request that is always refused fails alone, as refused, while the others are served', async () => {
  await using crm = await startApi(
    ({ url }) => (url === '/odd' ? { status: 429, headers: { 'retry-after': '0.05' }, body: '' } : { json: 1 }),
    { retry: { attempts: 3 } },
  );
  const others = Promise.all(Array.from({ length: 100 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  const error = await failure(crm.api.request({ url: '/odd' }));
  await others;
  assert.deepEqual([error.code, error.httpStatus, error.attempts], ['RATE_LIMITED', 429, 3]);
  assert.equal(
    crm.server.requests.filter(({ url }) => url === '/odd').length,
    4,
    'the first was for everybody to wait',
  );
});

test('requests that are asked to wait ever again end by themselves, also when there are no others', async () => {
  for (const status of [429, 503]) {
    await using crm = await startApi(() => ({ status, headers: { 'retry-after': '0.01' }, body: '' }), {
      retry: { attempts: 3 },
    });
    const asks = Array.from({ length: 3 }, async (_, n) => failure(crm.api.request({ url: `/${n}` })));
    for (const { httpStatus } of await Promise.all(asks)) assert.equal(httpStatus, status);
    assert.ok(crm.server.requests.length <= 3 * 3 * 3, `${crm.server.requests.length} requests`);
  }
});

test('a few requests that are always refused fail as that, also when only they are left', async () => {
  const isOdd = (url: string): boolean => Number(url.slice(1)) % 37 === 36;
  await using crm = await startApi(({ url }) => (isOdd(url) ? { status: 429, body: '' } : { json: 1 }), {
    limits: { concurrency: 20 },
    retry: { attempts: 4, backoff: 'exponential', baseDelay: 5, maxDelay: 30_000 },
  });
  const asks = Array.from({ length: 300 }, async (_, n) => crm.api.request({ url: `/${n}` }));
  const failed = (await Promise.allSettled(asks)).filter((outcome) => outcome.status === 'rejected');
  assert.equal(failed.length, 8);
  for (const { reason } of failed) assert.equal((reason as RequestError).code, 'RATE_LIMITED');
  const asked = crm.server.requests.filter(({ url }) => isOdd(url)).length;
  assert.ok(asked <= 8 * 4 * 3, `${asked} requests`);
});

test('a request that is alone, and is always refused, fails after its attempts and does not wait for a better pace', async () => {
  for (const rates of [[], [{ requests: 50, per: 1000 }]]) {
    await using crm = await startApi(() => ({ status: 429, body: '' }), { limits: { rates }, retry: { attempts: 4 } });
    const error = await failure(crm.api.request({ url: '/odd' }));
    assert.deepEqual([error.code, error.attempts], ['RATE_LIMITED', 4]);
    assert.equal(crm.server.requests.length, 4);
  }
});

test('an open breaker makes requests wait for its trial instead of spending attempts', async () => {
  await using crm = await startApi(() => (crm.server.requests.length <= 2 ? { status: 500, body: '' } : { json: 1 }), {
    retry: { attempts: 2 },
    breaker: { failures: 2, openFor: 150 },
  });
  const down = crm.api.request({ url: '/down' });
  while (crm.api.statistics().breaker.finalState !== 'open') await delay(1);
  const { rests: now } = crm.api.statistics();
  assert.equal(now?.because, 'down');
  assert.ok(Math.abs(now.until - Date.now() - 150) < 140);
  const answers = await Promise.all([1, 2, 3].map(async (n) => crm.api.request({ url: `/up/${n}` })));
  await down;
  assert.deepEqual(
    answers.map(({ attempts }) => attempts),
    [1, 1, 1],
  );
  const [, second, trial] = crm.server.requests;
  assert.ok(trial!.at - second!.at >= 140);
  assert.deepEqual(crm.api.statistics().breaker, { opened: 1, finalState: 'closed' });
});

test('a breaker that opens while a request waits for its slot sends it back to wait, without an attempt spent', async () => {
  await using crm = await startApi(() => (crm.server.requests.length === 1 ? { status: 500, body: '' } : { json: 1 }), {
    retry: { attempts: 1 },
    limits: { concurrency: 1 },
    breaker: { failures: 1, openFor: 100 },
  });
  const down = crm.api.request({ url: '/down' });
  const waiting = crm.api.request({ url: '/waiting' });
  assert.equal((await waiting).attempts, 1);
  assert.equal((await down).attempts, 1, 'an outage is no attempt');
  const [first, second] = crm.server.requests;
  assert.ok(second!.at - first!.at >= 100);
});

test('an outage that outlasts the deadline leaves requests unasked, not failed', async () => {
  await using crm = await startApi(() => ({ status: 503, body: '' }), {
    retry: { attempts: 3 },
    breaker: { failureRate: 0.5, minimumCalls: 5, openFor: 30 },
  });
  const deadline = performance.now() + 200;
  const asked = Array.from({ length: 20 }, async (_, n) => crm.api.request({ url: `/${n}`, deadline }));
  const outcomes = await Promise.allSettled(asked);
  const unasked = outcomes.filter((one) => one.status === 'rejected' && one.reason instanceof ApiRestsError);
  // Those that failed before there were enough to tell may be in the middle of their own retries then.
  assert.ok(unasked.length >= 15, `${unasked.length}`);
});

test('a 503 to all opens the breaker for as long as it asks, beyond maxElapsed too, and nobody fails', async () => {
  await using crm = await startApi(
    () =>
      crm.server.requests.length <= 5 ? { status: 503, headers: { 'retry-after': '0.3' }, body: '' } : { json: 1 },
    { retry: { maxElapsed: 100 }, breaker: { failureRate: 0.5, minimumCalls: 5, openFor: 60_000 } },
  );
  await Promise.all(Array.from({ length: 5 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  const last = crm.server.requests[4]!.at;
  for (const { at } of crm.server.requests.slice(5)) assert.ok(at - last >= 290, `${at - last} ms`);
});

test('a 503 that asks one request for more than maxElapsed fails that one, with the time to come back', async () => {
  const resting = { status: 503, headers: { 'retry-after': '0.5' }, body: '' };
  await using crm = await startApi(({ url }) => (url === '/odd' ? resting : { json: 1 }), {
    retry: { maxElapsed: 100 },
    breaker: { failureRate: 0.5, minimumCalls: 10 },
  });
  await Promise.all(Array.from({ length: 40 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  const error = await failure(crm.api.request({ url: '/odd' }));
  assert.deepEqual([error.code, error.attempts], ['HTTP_503', 1]);
  assert.ok(error.retryAt !== undefined);
  assert.equal(crm.server.requests.length, 41);
});

test('repeats go before what was never sent, so that an API that fails each request at first serves some all along', async () => {
  const asked = new Map<string, number>();
  await using crm = await startApi(
    ({ url }) => {
      asked.set(url, (asked.get(url) ?? 0) + 1);
      return asked.get(url)! > 2 ? { json: 1 } : { status: 503, body: '' };
    },
    {
      limits: { concurrency: 50, rates: [{ requests: 5, per: 100 }] },
      retry: { attempts: 5, baseDelay: 10, maxElapsed: 2_000 },
      breaker: { failureRate: 0.5, minimumCalls: 20, openFor: 500 },
    },
  );
  await Promise.all(Array.from({ length: 30 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  const first = crm.server.requests.findIndex(
    ({ url }, index) => crm.server.requests.slice(0, index).filter((one) => one.url === url).length === 2,
  );
  assert.ok(first < 30, `the first one to be served was request ${first}`);
});

test('dead records at the end of a night are no outage, and are not asked as often as if chance could mend them', async () => {
  // Every 33rd.
  const isDead = (url: string): boolean => Number(url.slice(1)) % 33 === 32;
  await using crm = await startApi(({ url }) => (isDead(url) ? { status: 500, body: '' } : { json: 1 }), {
    retry: { attempts: 8, baseDelay: 20 },
    limits: { concurrency: 50 },
    breaker: { failureRate: 0.5, minimumCalls: 10, openFor: 60_000 },
  });
  const asks = Array.from({ length: 1_000 }, async (_, n) => crm.api.request({ url: `/${n}` }));
  const failed = (await Promise.allSettled(asks)).filter((outcome) => outcome.status === 'rejected');
  assert.equal(failed.length, 30);
  for (const { reason } of failed) assert.equal((reason as RequestError).code, 'HTTP_500');
  assert.equal(crm.api.statistics().breaker.opened, 0);
  const asked = crm.server.requests.filter(({ url }) => isDead(url)).length;
  assert.ok(asked < 30 * 8, `${asked} requests for dead records`);
});

test('where many requests fail by chance, each is asked as often as the job file says', async () => {
  const asked = new Map<string, number>();
  await using crm = await startApi(
    ({ url }) => {
      const times = (asked.get(url) ?? 0) + 1;
      asked.set(url, times);
      return Number(url.slice(1)) % 2 === 0 && times < 5 ? { status: 500, body: '' } : { json: 1 };
    },
    { retry: { attempts: 5 }, limits: { concurrency: 20 }, breaker: { failureRate: 1 } },
  );
  await Promise.all(Array.from({ length: 400 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  assert.equal(asked.get('/0'), 5);
});

test('requests that have failed before are no evidence of an outage, and fail as they are answered', async () => {
  await using crm = await startApi(({ url }) => (url === '/good' ? { json: 1 } : { status: 500, body: '' }), {
    retry: { attempts: 1 },
    breaker: { failureRate: 0.5, minimumCalls: 5, openFor: 60_000 },
  });
  for (let n = 0; n < 20; n += 1)
    assert.equal((await failure(crm.api.request({ url: `/${n}`, failedBefore: true }))).code, 'HTTP_500');
  await crm.api.request({ url: '/good' });
  assert.equal(crm.api.statistics().breaker.opened, 0);
});

test('a request that fails whenever it is tried ends with its own answer, though the breaker stays open for it', async () => {
  await using crm = await startApi(() => ({ status: 500, body: '' }), {
    retry: { attempts: 2 },
    breaker: { failures: 1, openFor: 5 },
  });
  const error = await failure(crm.api.request({ url: '/dead', deadline: performance.now() + 60_000 }));
  assert.equal(error.code, 'HTTP_500');
});

test('a request that its caller breaks off neither closes the breaker by its trial nor opens it', async () => {
  await using crm = await startApi(async ({ url }) => (url === '/bad' ? { status: 500, body: '' } : delay(5_000)), {
    retry: { attempts: 1 },
    breaker: { failures: 1, openFor: 20, trials: 1 },
  });
  await failure(crm.api.request({ url: '/bad', waitForBreaker: false }));
  const controller = new AbortController();
  const trial = crm.api.request({ url: '/slow', signal: controller.signal });
  while (crm.server.requests.length < 2) await delay(1);
  assert.equal(crm.api.statistics().breaker.finalState, 'half-open');
  controller.abort(new Error('enough'));
  await assert.rejects(trial, { message: 'enough' });
  assert.deepEqual(crm.api.statistics().breaker, { opened: 1, finalState: 'half-open' });
});

test('an open breaker beyond the deadline is not waited for, and names the time to come back', async () => {
  await using crm = await startApi(() => ({ status: 500, body: '' }), {
    retry: { attempts: 1 },
    breaker: { failures: 1, openFor: 60_000 },
  });
  await failure(crm.api.request({ url: '/down', waitForBreaker: false }));
  const error = await rests(crm.api.request({ url: '/a', deadline: performance.now() + 2_000 }));
  assert.ok(Math.abs(error.retryAt! - Date.now() - 60_000) < 10_000);
  assert.equal(crm.server.requests.length, 1);
});

test('who has something else to go by waits for the first trial after an outage, and not again once that failed', async () => {
  let status = 500;
  await using crm = await startApi(() => ({ status, json: {} }), {
    retry: { attempts: 1 },
    breaker: { failures: 1, openFor: 100, trials: 1 },
  });
  const ask = async () => failure(crm.api.request({ url: '/', waitForBreaker: false }));
  assert.equal((await ask()).code, 'HTTP_500', 'it opens');
  assert.equal((await ask()).code, 'HTTP_500', 'it was waited for, and the trial failed');
  assert.equal((await ask()).code, 'BREAKER_OPEN');
  assert.equal(crm.server.requests.length, 2);

  status = 200;
  await crm.api.request({ url: '/' });
  status = 500;
  assert.equal((await ask()).code, 'HTTP_500', 'it opens anew');
  assert.equal((await ask()).code, 'HTTP_500', 'and is waited for anew');
  assert.equal((await ask()).code, 'BREAKER_OPEN');
});

test('404 and 429 never open the breaker', async () => {
  await using crm = await startApi(
    ({ url }) => ({ status: Number(url.slice(1)), headers: { 'retry-after': '0.001' }, body: '' }),
    {
      breaker: { failures: 1 },
    },
  );
  await failure(crm.api.request({ url: '/404' }));
  await failure(crm.api.request({ url: '/429' }));
  assert.deepEqual(crm.api.statistics().breaker, { opened: 0, finalState: 'closed' });
});

test('at most the given number of requests are in flight, also when attempts time out', async () => {
  await using crm = await startApi(
    async ({ url }) => {
      await delay(url === '/slow' ? 1_200 : 10);
      return { json: 1 };
    },
    { limits: { concurrency: 3 }, connections: 3, timeout: 300, retry: { attempts: 1 } },
  );
  const urls = ['/slow', ...Array.from({ length: 30 }, (_, n) => `/${n}`), '/slow'];
  await Promise.allSettled(urls.map(async (url) => crm.api.request({ url })));
  const { concurrency, timeouts, inFlight } = crm.api.statistics();
  assert.deepEqual(
    { concurrency, timeouts, inFlight },
    { concurrency: { limit: 3, peak: 3 }, timeouts: 2, inFlight: 0 },
  );
  assert.ok(crm.server.sockets <= 5, 'an aborted request costs its socket, and no more are open at once');
});

test("the caller's abort ends a request wherever it stands, with the caller's own reason", async () => {
  await using crm = await startApi(
    async () => {
      await delay(5_000, undefined, { ref: false });
      return { json: 1 };
    },
    { limits: { concurrency: 1 } },
  );
  const controller = new AbortController();
  const reason = new Error('enough');
  const requests = [1, 2].map(async (n) => crm.api.request({ url: `/${n}`, signal: controller.signal }));
  while (crm.server.requests.length === 0) await delay(1);
  controller.abort(reason);
  for (const request of requests) await assert.rejects(request, reason);
  await assert.rejects(crm.api.request({ url: '/3', signal: controller.signal }), reason);
  assert.deepEqual(crm.server.log, ['GET /1']);
  assert.equal(crm.api.statistics().timeouts, 0);
});

test('a deadline ends the waits and the attempts below it', async () => {
  await using crm = await startApi(
    async () => {
      await delay(5_000, undefined, { ref: false });
      return { json: 1 };
    },
    { limits: { concurrency: 1 } },
  );
  const deadline = performance.now() + 100;
  const [asked, waiting] = [crm.api.request({ url: '/1', deadline }), crm.api.request({ url: '/2', deadline })];
  for (const { message } of await Promise.all([rests(asked), rests(waiting)]))
    assert.equal(message, 'API "crm" did not answer before the deadline, because others came first or it is slow');
  assert.equal(crm.server.requests.length, 1);
});

test('closing waits for what runs, and a closed API is asked no more', async () => {
  await using crm = await startApi(async () => {
    await delay(50);
    return { json: 'done' };
  });
  const running = crm.api.request({ url: '/a' });
  await crm.api.close();
  assert.equal((await running).body, 'done');
  await assert.rejects(crm.api.request({ url: '/b' }), { code: 'API_CLOSED' });
});

test('latency, the peak of each window and the current rate are measured', async () => {
  await using crm = await startApi(
    async () => {
      await delay(20);
      return { json: 1 };
    },
    { limits: { rates: [{ requests: 5, per: 400 }] } },
  );
  await Promise.all(Array.from({ length: 8 }, async () => crm.api.request({ url: '/a' })));
  const { latencyMs, rates, waitedMs, currentRate } = crm.api.statistics();
  assert.ok(latencyMs.p50 >= 19 && latencyMs.p50 <= latencyMs.p95 && latencyMs.p99 <= latencyMs.max);
  assert.deepEqual(rates, [{ requests: 5, perMs: 400, peak: 5 }]);
  assert.ok(waitedMs >= 300);
  assert.equal(currentRate, 8);
});

async function rests(request: Promise<unknown>): Promise<ApiRestsError> {
  try {
    await request;
  } catch (error) {
    assert.ok(error instanceof ApiRestsError, String(error));
    return error;
  }
  throw new Error('the API was expected to rest');
}

async function failure(request: Promise<unknown>): Promise<RequestError> {
  try {
    await request;
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error));
    return error;
  }
  throw new Error('the request was expected to fail');
}
