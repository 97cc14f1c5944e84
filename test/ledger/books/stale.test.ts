import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStale } from '../../../src/ledger/books/stale.ts';
import { createDatabase } from '../../support/database.ts';
import { seedNight } from '../../support/seeded-night.ts';

test('contracts on last known values are counted per lookup, with the oldest and their money per currency', async (t) => {
  const { database } = await createDatabase(t);
  const contracts = [
    { key: 'a', amount: '1.00', outcome: 'degraded', asOf: '2026-11-19T02:00:00.123Z' },
    { key: 'b', amount: '2.00', outcome: 'degraded', asOf: '2026-11-18T02:00:00Z' },
    { key: 'c', amount: '4.00', currency: 'USD', outcome: 'degraded', asOf: '2026-11-19T03:00:00Z' },
    { key: 'd', amount: '8.00' },
  ] as const;
  const { instance } = await seedNight(database, { contracts });
  assert.deepEqual(await readStale(database, instance), [
    {
      lookup: 'usage',
      contracts: 3,
      oldestAsOf: '2026-11-18T02:00:00.000Z',
      amounts: [
        { column: 'amount', currency: 'EUR', amount: '3.00' },
        { column: 'amount', currency: 'USD', amount: '4.00' },
      ],
    },
  ]);
});
