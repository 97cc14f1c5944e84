import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../../../src/sources/api/api.ts';
import { ApiRestsError } from '../../../src/sources/api/api-rests-error.ts';
import { apiOptions, startApi } from '../../support/api-fixture.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { mostWithin } from '../../support/strict-server.ts';

describe('limits that an API announces', { concurrency: true }, () => {
  test('a lower limit that the API announces, less headroom, is kept from then on and told once; a higher one changes nothing', async () => {
    let policy = '"a";q=1000;w=1';
    await using server = await ScriptedServer.start(() => ({ json: 1, headers: { 'ratelimit-policy': policy } }));
    const told: object[] = [];
    await using api = new Api(
      apiOptions(server.origin, { limits: { concurrency: 4, rates: [{ requests: 12, per: 300 }], headroom: 0.5 } }),
      { onLowered: (info) => told.push(info) },
    );
    const ask = async (count: number): Promise<void> =>
      void (await Promise.all(Array.from({ length: count }, async () => api.request({ url: '/a' }))));
    await ask(12);
    assert.deepEqual(told, []);
    const unlimited = server.requests.map(({ at }) => at);
    assert.ok(mostWithin(unlimited, 300) > 3);
    policy = '"a";q=6;w=1';
    await ask(2);
    const before = server.requests.length;
    await ask(9);
    const after = server.requests.slice(before).map(({ at }) => at);
    assert.ok(mostWithin(after, 300) <= 3, `${mostWithin(after, 300)} of 3`);
    assert.deepEqual(told, [{ api: 'crm', requests: 3, per: 300 }]);
    assert.deepEqual(api.statistics().rates[0], { requests: 12, perMs: 300, peak: 12 });
  });

  for (const [how, rates] of [
    ['with a window', [{ requests: 100, per: 1000 }]],
    ['without a window', []],
  ] as const) {
    test(`when nothing is left, everybody waits until the reset, ${how}`, async () => {
      const left = [
        { 'x-ratelimit-remaining': '7', 'x-ratelimit-reset': '1000' },
        { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' },
      ];
      await using crm = await startApi(() => ({ json: 1, headers: left.shift() ?? {} }), {
        limits: { rates: [...rates] },
      });
      const { api, server } = crm;
      await api.request({ url: '/some-left' });
      await api.request({ url: '/none-left' });
      await Promise.all(['/b', '/c', '/d'].map(async (url) => api.request({ url })));
      const [, last, ...later] = server.requests;
      assert.equal(later.length, 3);
      for (const { at } of later) assert.ok(at - last!.at >= 1000, `${at - last!.at} ms`);
      assert.equal(api.statistics().rateLimited, 0, 'it was told before it was refused');
    });

    test(`a wait that begins during another one is waited for as well, ${how}`, async () => {
      await using crm = await startApi(
        async ({ url }) => {
          if (url === '/slow') await delay(100);
          const reset = ['/fast', '/slow'].includes(url) ? '0.3' : '0';
          return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': reset } };
        },
        { limits: { rates: [...rates] } },
      );
      const { api, server } = crm;
      const slow = api.request({ url: '/slow' });
      await api.request({ url: '/fast' });
      await Promise.all([slow, api.request({ url: '/later' })]);
      const [asked, , later] = server.requests;
      assert.ok(later!.at - asked!.at >= 400, `${later!.at - asked!.at} ms`);
    });

    test(`a reset beyond the deadline, told twice, fails also those who wait already, with the time to come back, ${how}`, async () => {
      await using crm = await startApi(
        async ({ url }) => {
          if (url === '/first') return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '0.4' } };
          await delay(100);
          return { json: 1, headers: { 'ratelimit-remaining': '0', 'ratelimit-reset': '3600' } };
        },
        { limits: { rates: [...rates] } },
      );
      const { api, server } = crm;
      const deadline = performance.now() + 60_000;
      const slow = Promise.all(['/slow', '/slow-too'].map(async (url) => api.request({ url })));
      await api.request({ url: '/first' });
      const ended = Promise.allSettled([
        ...['/b', '/c'].map(async (url) => api.request({ url, deadline })),
        slow.then(async () => api.request({ url: '/d', deadline })),
      ]);
      for (const one of await ended) {
        assert.equal(one.status, 'rejected');
        assert.ok(one.reason instanceof ApiRestsError);
        assert.ok(Math.abs(one.reason.retryAt! - Date.now() - 3_600_000) < 60_000);
      }
      assert.equal(server.requests.length, 3);
    });

    test(`a single good answer that says nothing is left for hours makes no request wait, ${how}`, async () => {
      await using crm = await startApi(
        ({ url }) => ({
          json: 1,
          headers: url === '/odd' ? { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '7200' } : {},
        }),
        { limits: { rates: [...rates] } },
      );
      await crm.api.request({ url: '/odd' });
      await crm.api.request({ url: '/a' });
      assert.equal(crm.server.requests.length, 2);
    });
  }

  test('a limit on an error page lowers nothing, because a proxy may have sent the page', async () => {
    await using crm = await startApi(
      ({ url }) => ({ status: url === '/gone' ? 404 : 200, json: 1, headers: { 'ratelimit-policy': '"a";q=1;w=60' } }),
      { limits: { rates: [{ requests: 50, per: 60_000 }] } },
    );
    for (let count = 0; count < 5; count += 1) await assert.rejects(crm.api.request({ url: '/gone' }));
    assert.equal(crm.server.requests.length, 5);
  });

  test('one answer that announces a lower limit than all others lowers nothing', async () => {
    await using crm = await startApi(
      ({ url }) => ({ json: 1, headers: { 'ratelimit-policy': `"a";q=${url === '/odd' ? 1 : 100};w=60` } }),
      { limits: { rates: [{ requests: 50, per: 60_000 }] } },
    );
    for (const url of ['/a', '/odd', '/b', '/odd', '/c']) await crm.api.request({ url });
    assert.equal(crm.server.requests.length, 5);
  });

  test('what one route announces holds for that route, and the others keep the pace of the job file', async () => {
    const told: object[] = [];
    await using server = await ScriptedServer.start(({ url }) => ({
      json: 1,
      headers: { 'ratelimit-policy': `"a";q=${url.startsWith('/search') ? 2 : 100};w=1` },
    }));
    await using api = new Api(
      apiOptions(server.origin, { limits: { concurrency: 4, rates: [{ requests: 12, per: 300 }] } }),
      { onLowered: (info) => told.push(info) },
    );
    for (const url of ['/search/1', '/search/2', '/get/1', '/get/2'])
      await api.request({ url, lane: url.split('/')[1]! });
    const before = server.requests.length;
    await Promise.all(
      ['search', 'get'].flatMap((key) =>
        Array.from({ length: key === 'get' ? 12 : 6 }, async (_, index) =>
          api.request({ url: `/${key}/x${index}`, lane: key }),
        ),
      ),
    );
    const after = server.requests.slice(before);
    const most = (key: string): number =>
      mostWithin(
        after.filter(({ url }) => url.startsWith(`/${key}`)).map(({ at }) => at),
        300,
      );
    assert.equal(most('search'), 2);
    assert.ok(most('get') > 5, `${most('get')}`);
    assert.deepEqual(told, [{ api: 'crm', requests: 2, per: 300 }]);
  });

  test('a limit that was announced is raised again when later answers announce more, or nothing any more', async () => {
    let headers: Record<string, string> = { 'ratelimit-policy': '"a";q=2;w=1' };
    await using crm = await startApi(() => ({ json: 1, headers }), {
      limits: { rates: [{ requests: 100, per: 300 }] },
    });
    const { api, server } = crm;
    const ask = async (count: number): Promise<number> => {
      const before = server.requests.length;
      await Promise.all(Array.from({ length: count }, async () => api.request({ url: '/a' })));
      const at = server.requests.slice(before).map((request) => request.at);
      return mostWithin(at, 300);
    };
    await ask(2);
    assert.equal(await ask(4), 2);
    headers = { 'ratelimit-policy': '"a";q=50;w=1' };
    await ask(2);
    assert.ok((await ask(20)) > 10);
    headers = { 'ratelimit-policy': '"a";q=10;w=1' };
    await ask(2);
    headers = {};
    await ask(20);
    assert.ok((await ask(40)) > 20);
  });
});
