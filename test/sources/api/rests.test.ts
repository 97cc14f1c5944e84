import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RequestError } from '../../../src/sources/api/api.ts';
import { ApiRestsError } from '../../../src/sources/api/api-rests-error.ts';
import { failure, rests, startApi } from '../../support/api-fixture.ts';

describe('an API that rests', { concurrency: 4 }, () => {
  test('after a 429 no request is sent before the time the server stated', async () => {
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

  test('a 429 makes all requests wait, also without a rate limit', async () => {
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

  test('a rest longer than maxElapsed is waited for if the deadline allows it, and no request fails', async () => {
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

  test('requests that are asked to wait again and again fail in the end, also without other requests', async () => {
    for (const status of [429, 503]) {
      await using crm = await startApi(() => ({ status, headers: { 'retry-after': '0.01' }, body: '' }), {
        retry: { attempts: 3 },
      });
      const asks = Array.from({ length: 3 }, async (_, n) => failure(crm.api.request({ url: `/${n}` })));
      for (const { httpStatus } of await Promise.all(asks)) assert.equal(httpStatus, status);
      assert.ok(crm.server.requests.length <= 3 * 3 * 3, `${crm.server.requests.length} requests`);
    }
  });

  test('a few requests that are always refused fail, also when only they are left', async () => {
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
      await using crm = await startApi(() => ({ status: 429, body: '' }), {
        limits: { rates },
        retry: { attempts: 4 },
      });
      const error = await failure(crm.api.request({ url: '/odd' }));
      assert.deepEqual([error.code, error.attempts], ['RATE_LIMITED', 4]);
      assert.equal(crm.server.requests.length, 4);
    }
  });

  test('an open breaker makes requests wait for its trial instead of spending attempts', async () => {
    await using crm = await startApi(
      () => (crm.server.requests.length <= 2 ? { status: 500, body: '' } : { json: 1 }),
      {
        retry: { attempts: 2 },
        breaker: { failures: 2, openFor: 150 },
      },
    );
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
    await using crm = await startApi(
      () => (crm.server.requests.length === 1 ? { status: 500, body: '' } : { json: 1 }),
      {
        retry: { attempts: 1 },
        limits: { concurrency: 1 },
        breaker: { failures: 1, openFor: 100 },
      },
    );
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

  test('a 503 to all requests opens the breaker for as long as it asks, also beyond maxElapsed, and no request fails', async () => {
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
    await using crm = await startApi(
      async ({ url }) => (url === '/bad' ? { status: 500, body: '' } : delay(5_000, undefined, { ref: false })),
      {
        retry: { attempts: 1 },
        breaker: { failures: 1, openFor: 20, trials: 1 },
      },
    );
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

  test('a request that all depends on waits for its own Retry-After, however few attempts it has, and is seen to', async () => {
    const answers = [{ status: 503, headers: { 'retry-after': '0.3' }, body: '' }];
    await using crm = await startApi(() => answers.shift() ?? { json: 1 }, { retry: { attempts: 1, maxElapsed: 50 } });
    const listing = crm.api.request({ url: '/list', patient: true });
    let over = false;
    void listing.then(() => (over = true));
    while (!crm.api.statistics().rests && !over) await delay(1);
    const { because, until } = crm.api.statistics().rests!;
    assert.equal(because, 'asked');
    assert.ok(until > Date.now());
    assert.equal((await crm.api.request({ url: '/other' })).attempts, 1, 'others need not wait');
    await listing;
    assert.equal(crm.api.statistics().rests, undefined);
  });
});
