import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdaptiveLimit } from '../../src/resilience/adaptive-limit.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A server that allows `allowed` at once, and whoever asks it as the limit says, in rounds of one latency. */
function world({ ceiling, allowed }: { ceiling: number; allowed: number }) {
  const clock = new FakeClock();
  const limit = new AdaptiveLimit({ ceiling, clock });
  const server = { allowed, refused: 0, served: 0 };
  /** All that may be sent is sent; refusals come back at once, answers after them. */
  async function round(): Promise<number> {
    const levels = Array.from({ length: limit.limit }, () => limit.sent());
    const [served, refused] = [levels.slice(0, server.allowed), levels.slice(server.allowed)];
    for (const level of refused) {
      limit.ended();
      limit.refused(level);
    }
    await clock.advance(100);
    for (const level of served) {
      limit.ended();
      limit.answered(level);
    }
    server.refused += refused.length;
    server.served += served.length;
    return levels.length;
  }
  return { clock, limit, server, round };
}

test('without refusals it reaches its ceiling after one round of answers and reports no limit', async () => {
  const { limit, round } = world({ ceiling: 50, allowed: 50 });
  assert.equal(await round(), 10);
  assert.equal(await round(), 50);
  assert.equal(limit.settled, undefined);
});

test('a server that allows five at once is met at five, after a handful of refusals', async () => {
  const { limit, server, round } = world({ ceiling: 50, allowed: 5 });
  for (let count = 0; count < 10; count += 1) await round();
  assert.ok(limit.limit >= 5 && limit.limit <= 6);
  assert.equal(limit.settled, 5);
  assert.equal(server.refused, 6, 'and one for trying more');
});

test('without refusals it tries for more, less often while that is refused, and finds a limit that is raised later', async () => {
  const { limit, server, round } = world({ ceiling: 50, allowed: 5 });
  for (let count = 0; count < 600; count += 1) await round();
  assert.ok(limit.limit >= 4 && limit.limit <= 6, `${limit.limit}`);
  assert.ok(server.refused < 25, `${server.refused} refusals in a minute`);
  server.allowed = 50;
  for (let count = 0; count < 6000; count += 1) await round();
  assert.equal(limit.limit, 50);
});

test('a server that allows less than before is followed down', async () => {
  const { limit, server, round } = world({ ceiling: 20, allowed: 20 });
  for (let count = 0; count < 5; count += 1) await round();
  server.allowed = 3;
  await round();
  assert.equal(limit.limit, 20, 'as many were answered well a moment ago, so these may be about something else');
  limit.halve();
  for (let count = 0; count < 6; count += 1) await round();
  assert.equal(limit.limit, 3);
});

test('a single request that is refused while others are answered changes nothing', async () => {
  const { limit, round } = world({ ceiling: 20, allowed: 20 });
  for (let count = 0; count < 3; count += 1) await round();
  for (const position of [0, 5, 18]) {
    const levels = Array.from({ length: 20 }, () => limit.sent());
    levels.forEach((level, index) => {
      limit.ended();
      if (index === position) assert.equal(limit.refused(level), false);
      else limit.answered(level);
    });
    assert.equal(limit.limit, 20);
  }
});

test('a refusal before the first answer is undone when more requests in flight are answered well', () => {
  const { limit } = world({ ceiling: 8, allowed: 8 });
  const levels = Array.from({ length: 8 }, () => limit.sent());
  assert.equal(limit.refused(levels[2]!), true);
  assert.equal(limit.limit, 1);
  limit.answered(levels[0]!);
  limit.answered(levels[7]!);
  assert.equal(limit.limit, 8);
});

test('it never falls below one, nor rises above its ceiling', async () => {
  const { limit, round } = world({ ceiling: 3, allowed: 0 });
  for (let count = 0; count < 20; count += 1) await round();
  assert.equal(limit.limit, 1);
  for (const ceiling of [0, 1.5, Number.NaN])
    assert.throws(() => new AdaptiveLimit({ ceiling }), { code: 'NUMBER_OUT_OF_RANGE' });
});
