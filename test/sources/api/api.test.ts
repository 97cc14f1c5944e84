import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { failure, rests, startApi } from '../../support/api-fixture.ts';

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
    assert.equal(
      message,
      'API "crm" did not answer before the deadline, because it is slow or other requests came first',
    );
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
