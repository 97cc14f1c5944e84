import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addQuotaUse, readQuotaUse } from '../../src/ledger/quota-use.ts';
import { createDatabase } from '../support/database.ts';

test('requests of a day add up, the least that is left counts, and what nobody said stays unknown', async (t) => {
  const { database } = await createDatabase(t);
  const { rows } = await database.query<{ today: string }>(`SELECT to_char(current_date, 'YYYY-MM-DD') AS today`);
  const use = { origin: 'https://crm.example', period: rows[0]!.today };
  assert.deepEqual(await addQuotaUse(database, { ...use, requests: 5, left: undefined, of: undefined }), {
    ...use,
    requests: 5,
    left: undefined,
    of: undefined,
  });
  await addQuotaUse(database, { ...use, requests: 2, left: 90, of: 100 });
  const sum = { ...use, requests: 10, left: 90, of: 120 };
  assert.deepEqual(await addQuotaUse(database, { ...use, requests: 3, left: 95, of: 120 }), sum);
  await addQuotaUse(database, { origin: use.origin, period: '2020-01-01', requests: 1, left: 1, of: 1 });
  assert.deepEqual(await readQuotaUse(database), [sum]);
});
