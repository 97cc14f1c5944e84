import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { databaseError, DatabaseError, DatabaseGoneError } from '../../../src/sinks/postgres/database-error.ts';

test('what Postgres adds in sentences of its own ends up in one sentence, and none has two full stops', () => {
  const refused = new pg.DatabaseError('could not extend file "base/1/2": No space left on device', 100, 'error');
  Object.assign(refused, {
    code: '53100',
    severity: 'ERROR',
    detail: 'Wrote 0 bytes.',
    hint: 'Check free disk space.',
  });
  const known = databaseError(refused);
  assert.ok(known instanceof DatabaseError);
  assert.equal(
    known.message,
    'Postgres: could not extend file "base/1/2": No space left on device; Wrote 0 bytes; Check free disk space',
  );
  assert.equal(
    new DatabaseGoneError(known, { waitedMs: 7_000 }).message,
    `${known.message}. Gave up after 7 s. The run ends; committed work is kept, and the same command continues from there`,
  );
  const gone = new DatabaseGoneError(new Error('The server is going down.'), { waitedMs: 0 });
  assert.match(gone.message, /^The server is going down\. The run ends; /);
});
