import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { EventLoopDelay } from '../../src/resilience/event-loop-delay.ts';

test('sees that the event loop was blocked', async () => {
  using delay = new EventLoopDelay();
  await sleep(50);
  const until = performance.now() + 300;
  while (performance.now() < until);
  await sleep(50);
  assert.ok(delay.figures().max >= 200, JSON.stringify(delay.figures()));
});
