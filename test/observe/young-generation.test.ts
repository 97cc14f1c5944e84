import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { boundYoungGeneration, youngBytes } from '../../src/observe/young-generation.ts';

const mebibytes = 2 ** 20;

/** Makes what lives for a while, as answers that wait to be loaded do; the most the young generation took. */
async function busyNight(): Promise<number> {
  const alive: object[][] = [];
  let most = 0;
  for (let round = 0; round < 120; round += 1) {
    alive.push(Array.from({ length: 20_000 }, (_, index) => ({ index, text: `contract ${index}` })));
    if (alive.length > 8) alive.shift();
    await turn();
    most = Math.max(most, youngBytes());
  }
  return most;
}

test('the young generation stays within its bound while it is held, but not where somebody has set one', async () => {
  {
    using _ = boundYoungGeneration({});
    assert.ok((await busyNight()) <= 32 * mebibytes);
  }
  using _ = boundYoungGeneration({ NODE_OPTIONS: '--max-semi-space-size=64' });
  assert.ok((await busyNight()) > 32 * mebibytes);
});
