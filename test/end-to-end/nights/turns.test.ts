import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scriptedNight } from '../../support/scripted-job.ts';

const records = Array.from({ length: 30 }, (_, index) => ({ id: `C-${index + 1}` }));

test('lookups that share one API take turns: one that waits for another is not left for last', async (t) => {
  const { night, server } = await scriptedNight(t, {
    script: ({ url }) => (url === '/contracts' ? { json: { data: records } } : { json: { id: url.split('/')[2] } }),
    job: {
      api: { limits: { concurrency: 1 } },
      lookups: {
        contract: { api: 'crm', path: '/contracts/{key}' },
        usage: { api: 'crm', path: '/usage/{contract.id}' },
      },
    },
  });
  assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 0);
  const asked = server.requests.map(({ url }) => url.split('/')[1]!);
  // Eight contracts are at work at once: first come, first served would ask all eight before the first usage.
  const soon = asked.slice(0, 9).filter((name) => name === 'usage').length;
  assert.ok(soon >= 3, asked.join(' '));
  assert.equal(asked.filter((name) => name === 'usage').length, 30);
});
