import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ClientBase, QueryResult } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { NightfillError } from '../../resilience/failure.ts';
import { encodeCopy } from './copy-encode.ts';
import type { Row } from './copy-encode.ts';
import { readBack } from './read-back.ts';
import type { StoredRow, SumRequest, Total } from './read-back.ts';
import { findInvalidValues, isRowError, isValueError, refusal } from './reject-rows.ts';
import type { RejectedRow } from './reject-rows.ts';
import type { TargetTable } from './target-table.ts';
import { upsertStatements } from './upsert-statements.ts';
import type { UpsertStatements } from './upsert-statements.ts';

export type { Row } from './copy-encode.ts';
export type { StoredRow, SumRequest, Total } from './read-back.ts';
export type { RejectedRow } from './reject-rows.ts';

export interface LoadResult {
  inserted: number;
  updated: number;
  /** Rows that the target already held unchanged; not rewritten. */
  unchanged: number;
  /** One entry per row. Every row given is either loaded or rejected. */
  rejected: RejectedRow[];
  digest: string;
  totals: Total[];
  /** The rows loaded, in their order. */
  stored: StoredRow[];
}

export interface LoadOptions {
  sums: readonly SumRequest[];
  signal?: AbortSignal;
  /** The name of a row in messages. Default: `row 7`. */
  nameOf?: (row: number) => string;
  /**
   * Called within the transaction with the rows that the target now holds; gives those that it must not hold, because the
   * rows under their keys belong to others. Their load is undone.
   */
  claim?: (stored: readonly StoredRow[]) => Promise<RejectedRow[]>;
}

interface Load {
  client: ClientBase;
  table: TargetTable;
  rows: readonly Row[];
  /** Indexes of the key's columns in a row. */
  key: number[];
  statements: UpsertStatements;
  /** By ordinal, so that a row is rejected once. */
  rejected: Map<number, RejectedRow>;
  signal: AbortSignal | undefined;
  nameOf: (row: number) => string;
}

interface Counts {
  inserted: number;
  updated: number;
}

/**
 * Loads rows into the target by their key, and reads back what the target then holds. Works inside the caller's
 * transaction, which must have begun and pin the output settings a digest depends on.
 *
 * A row that Postgres does not accept is rejected and the others are loaded; of rows with the same key the first is.
 * A rejected row leaves no trace in the target, whatever triggers wrote for it. Throws errors that no row caused
 * (deadlock, lost connection, missing privilege): the transaction must then be rolled back. An abort stops the COPY and
 * all that would follow, and throws the signal's reason.
 */
export async function copyUpsert(
  client: ClientBase,
  table: TargetTable,
  rows: readonly Row[],
  { sums, signal, nameOf = (row) => `row ${row}`, claim = async () => Promise.resolve([]) }: LoadOptions,
): Promise<LoadResult> {
  const key = table.key.map((name) => table.columns.findIndex((column) => column.name === name));
  const statements = upsertStatements(table);
  const load: Load = { client, table, rows, key, statements, rejected: new Map(), signal, nameOf };
  rejectUnsendable(load);
  await stage(load);
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- statements of one connection run one at a time
    const result = await tryStaged(load, { sums, claim });
    if (result) return result;
  }
}

/** Loads what is staged; undefined when rows had to be rejected afterwards: then it is undone, and the others still staged. */
async function tryStaged(
  load: Load,
  { sums, claim }: Required<Pick<LoadOptions, 'sums' | 'claim'>>,
): Promise<LoadResult | undefined> {
  const { client, table, statements, signal } = load;
  const { inserted, updated } = await upsertStaged(load);
  signal?.throwIfAborted();
  const { digest, totals, missing, suppressed, stored } = await readBack(client, table, sums);
  const refused = [...missing.map(notStored), ...suppressed.map(notUpdated), ...sharedKeys(load, stored)];
  if (refused.length === 0) refused.push(...(await claim(stored)));
  if (refused.length === 0) {
    await client.query('RELEASE nightfill_load');
    const unchanged = Math.max(0, stored.length - inserted - updated);
    const rejected = [...load.rejected.values()].toSorted((one, other) => one.row - other.row);
    return { inserted, updated, unchanged, rejected, digest, totals, stored };
  }
  for (const one of refused) load.rejected.set(one.row, one);
  // Undoes what the rejected rows and their triggers wrote.
  await client.query('ROLLBACK TO nightfill_load; RELEASE nightfill_load');
  await client.query(statements.dropOrdinals, [[...load.rejected.keys()]]);
  return undefined;
}

const notStored = (row: number): RejectedRow => ({
  row,
  code: 'NOT_STORED',
  message:
    'after the load the target does not hold the row under its key, because a trigger or a policy of the table kept it out or changed its key',
});

const notUpdated = (row: number): RejectedRow => ({
  row,
  code: 'NOT_STORED',
  message:
    'after the load the target still holds the earlier row, because a trigger or a policy of the table suppressed the update',
});

/** Rows of this load whose keys are equal for Postgres although their texts differ, for example by a case-insensitive collation. */
function sharedKeys(load: Load, stored: readonly StoredRow[]): RejectedRow[] {
  const first = new Map<string, number>();
  const shared: RejectedRow[] = [];
  for (const { row, key } of stored) {
    const kept = first.get(key);
    if (kept === undefined) first.set(key, row);
    else shared.push(duplicate(load, { row, kept }));
  }
  return shared;
}

/** Ordinals of the rows not rejected so far. */
function remaining({ rows, rejected }: Load): number[] {
  return Array.from(rows.keys()).filter((ordinal) => !rejected.has(ordinal));
}

/** Rejects rows that COPY must not get: without a key, or with text that UTF-8 cannot encode. */
function rejectUnsendable({ table, rows, key, rejected }: Load): void {
  const width = table.columns.length;
  for (const [row, texts] of rows.entries()) {
    if (texts.length !== width) throw new RangeError(`row ${row} has ${texts.length} values for ${width} columns`);
    const absent = key.find((index) => texts[index] === null);
    if (absent !== undefined) {
      const column = table.columns[absent]?.name ?? '';
      rejected.set(row, {
        row,
        column,
        code: 'KEY_MISSING',
        message: `key column ${column} is NULL: a row needs a key`,
      });
      continue;
    }
    const broken = texts.findIndex((text) => text !== null && !text.isWellFormed());
    if (broken >= 0) {
      const column = table.columns[broken]?.name ?? '';
      const message = `column ${column} has half of a surrogate pair, which is not text: correct it at the source`;
      rejected.set(row, { row, column, code: 'VALUE_NOT_UNICODE', message });
    }
  }
}

/** Fills the staging table. Rows the database's encoding cannot hold are rejected one by one. */
async function stage(load: Load): Promise<void> {
  load.signal?.throwIfAborted();
  await load.client.query(`${load.statements.stage}; SAVEPOINT nightfill_copy`);
  // oxlint-disable-next-line no-await-in-loop -- statements of one connection run one at a time
  while (!(await tryCopy(load)));
}

/** Copies the rows not rejected so far; false when one of them had to be rejected and nothing was copied. */
async function tryCopy(load: Load): Promise<boolean> {
  const ordinals = inKeyOrder(load);
  try {
    await copy(load, ordinals);
    await load.client.query('RELEASE nightfill_copy');
    return true;
  } catch (error) {
    load.signal?.throwIfAborted();
    const row = isRowError(error) ? ordinals[refusedLine(error) - 1] : undefined;
    if (row === undefined || !isRowError(error)) throw error;
    await load.client.query('ROLLBACK TO nightfill_copy');
    load.rejected.set(row, refusal(row, error));
    return false;
  }
}

/**
 * Ordinals of the rows to send, ordered by their keys' text. Neighbours in the index follow one another, which makes upsert
 * and read back faster, and concurrent loads take their locks in the same order, so that they do not deadlock.
 */
function inKeyOrder(load: Load): number[] {
  const { rows, key } = load;
  return remaining(load).sort((one, other) => {
    for (const index of key) {
      const [left, right] = [rows[one]?.[index] ?? '', rows[other]?.[index] ?? ''];
      if (left !== right) return left < right ? -1 : 1;
    }
    return one - other;
  });
}

/** The line COPY complains about, from 1: `COPY nightfill_staging, line 3, column c1`. */
function refusedLine({ where }: { where?: string | undefined }): number {
  return Number(/^COPY \w+, line (\d+)/m.exec(where ?? '')?.[1]);
}

async function copy({ client, rows, statements, signal }: Load, ordinals: readonly number[]): Promise<void> {
  const stream = client.query(copyFrom(statements.copy));
  await pipeline(Readable.from(encodeCopy(rows, ordinals), { objectMode: true }), stream, signal ? { signal } : {});
  if (stream.rowCount === ordinals.length) return;
  const message = `COPY took ${stream.rowCount} of ${ordinals.length} rows sent: the chunk is not loaded`;
  throw new NightfillError({ code: 'COPY_COUNT', class: 'system', message });
}

/** Upserts all staged rows at once, within the savepoint `nightfill_load`; searches for the rows to blame only when that fails. */
async function upsertStaged(load: Load): Promise<Counts> {
  const { client, statements } = load;
  load.signal?.throwIfAborted();
  try {
    // One round trip; pg gives a result per statement.
    const results: unknown = await client.query(`SAVEPOINT nightfill_load; ${statements.upsert()}`);
    const [, counts] = results as [QueryResult, QueryResult<Counts>];
    return firstCounts(counts);
  } catch (error) {
    if (!isValueError(error)) throw error;
    await client.query('ROLLBACK TO nightfill_load');
  }
  return upsertAcceptable(load);
}

function duplicate({ rows, key, table, nameOf }: Load, { row, kept }: { row: number; kept: number }): RejectedRow {
  const loadKey = table.key.map((name, position) => `${name} = ${rows[row]![key[position]!] ?? 'NULL'}`).join(', ');
  const message = `${nameOf(kept)} has the same load key (${loadKey}) and comes first, so its row is the one that is loaded`;
  return { row, code: 'DUPLICATE_KEY', message };
}

function firstCounts({ rows: [counts] }: QueryResult<Counts>): Counts {
  if (!counts) throw new Error('the upsert gives one row');
  return counts;
}

/** Rejects rows with invalid values, then rows whose key an earlier row has, and loads the rest. */
async function upsertAcceptable(load: Load): Promise<Counts> {
  const { client, table, statements } = load;
  const columns = table.columns.map((column, index) => ({ index, column }));
  await rejectStaged(load, await findInvalidValues(client, columns));
  const duplicates = await client.query<{ ordinal: number; kept: number }>(statements.dropDuplicates);
  for (const { ordinal, kept } of duplicates.rows) load.rejected.set(ordinal, duplicate(load, { row: ordinal, kept }));
  await client.query(statements.indexOrdinals);
  return upsertParts(load, remaining(load));
}

async function rejectStaged({ client, statements, rejected }: Load, found: readonly RejectedRow[]): Promise<void> {
  if (found.length === 0) return;
  for (const one of found) rejected.set(one.row, one);
  await client.query(statements.dropOrdinals, [found.map(({ row }) => row)]);
}

/** Upserts the rows of these ordinals, halving them until each row to blame is alone. */
async function upsertParts(load: Load, ordinals: readonly number[]): Promise<Counts> {
  const [first] = ordinals;
  const last = ordinals.at(-1);
  if (first === undefined || last === undefined) return { inserted: 0, updated: 0 };
  load.signal?.throwIfAborted();
  try {
    const results: unknown = await load.client.query(`
      SAVEPOINT nightfill_part; ${load.statements.upsert({ first, last })}; RELEASE nightfill_part`);
    const [, counts] = results as [QueryResult, QueryResult<Counts>];
    return firstCounts(counts);
  } catch (error) {
    if (!isRowError(error)) throw error;
    await load.client.query('ROLLBACK TO nightfill_part; RELEASE nightfill_part');
    if (first === last) {
      await rejectStaged(load, [refusal(first, error)]);
      return { inserted: 0, updated: 0 };
    }
  }
  const middle = Math.ceil(ordinals.length / 2);
  const one = await upsertParts(load, ordinals.slice(0, middle));
  const other = await upsertParts(load, ordinals.slice(middle));
  return { inserted: one.inserted + other.inserted, updated: one.updated + other.updated };
}
