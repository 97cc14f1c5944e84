import pg from 'pg';
import { markColumn, qualifiedName } from './target-table.ts';
import type { TargetTable } from './target-table.ts';

/** In the session's temporary schema, dropped with the transaction; truncated for each load, because a new table would hold further locks until the transaction ends. */
export const STAGING = 'pg_temp.nightfill_staging';

export interface UpsertStatements {
  /** Makes an empty staging table: an ordinal and one text column per target column, named c0, c1, … */
  stage: string;
  copy: string;
  /** Deletes every row whose key a row with a lower ordinal has too. Gives `ordinal` and `kept`, the lower one. */
  dropDuplicates: string;
  dropOrdinals: string;
  /** For many lookups of single rows. */
  indexOrdinals: string;
  /** Upserts what is staged, or one range of it. Gives `inserted` and `updated`. */
  upsert(range?: { first: number; last: number }): string;
}

/** The SQL that loads one target table. */
export function upsertStatements(table: TargetTable): UpsertStatements {
  const columns = table.columns.map(({ name, castType }, index) => {
    const quoted = pg.escapeIdentifier(name);
    return { name, quoted, staged: `s.c${index}::${castType}` };
  });
  // A loaded contract is listed, so its row's mark is cleared, which counts as an update.
  const mark = { name: markColumn.name, quoted: markColumn.name, staged: `NULL::${markColumn.type}` };
  const written = table.marked ? [...columns, mark] : columns;
  const key = columns.filter(({ name }) => table.key.includes(name));
  const others = written.filter(({ name }) => !table.key.includes(name));
  const list = (texts: string[]): string => texts.join(', ');
  const names = list(written.map(({ quoted }) => quoted));
  const keyNames = list(key.map(({ quoted }) => quoted));

  const sameKey = key.map(({ quoted, staged }) => `t.${quoted} = ${staged}`).join(' AND ');

  // Compares the stored images. IS DISTINCT FROM would find no operator for json or point, take boxes of the same area
  // for equal, and citext in another case. The casts keep Postgres from comparing the rows field by field.
  const image = (row: string): string => `ROW(${list(others.map(({ quoted }) => `${row}.${quoted}`))})::record`;
  const onConflict =
    others.length === 0
      ? 'DO NOTHING'
      : `DO UPDATE SET ${list(others.map(({ quoted }) => `${quoted} = excluded.${quoted}`))}
         WHERE ${image('target')} OPERATOR(pg_catalog.*<>) ${image('excluded')}`;

  // An updated row has the lock of its update in xmax. Partitioned tables do not return system columns; there the statement's
  // snapshot, which is older than its own writes, shows which rows are new.
  const inserted = (staged: string): string =>
    table.partitioned
      ? `(SELECT count(*)::int4 FROM ${staged} AND NOT EXISTS (SELECT FROM ${qualifiedName(table)} t WHERE ${sameKey}))`
      : 'count(*) FILTER (WHERE xmax = 0)::int4';

  return {
    // Deferred constraints would fail at COMMIT, where the row to blame is no longer known.
    stage: `
      SET CONSTRAINTS ALL IMMEDIATE;
      CREATE TEMPORARY TABLE IF NOT EXISTS nightfill_staging (ordinal int4, ${list(columns.map((_, index) => `c${index} text`))})
        ON COMMIT DROP;
      TRUNCATE ${STAGING}`,
    copy: `COPY ${STAGING} FROM STDIN (FORMAT binary)`,
    dropDuplicates: `
      DELETE FROM ${STAGING} s
       USING (SELECT ${list(key.map(({ staged }, index) => `${staged} AS k${index}`))}, min(s.ordinal) AS kept
                FROM ${STAGING} s
               GROUP BY ${list(key.map((_, index) => String(index + 1)))}
              HAVING count(*) > 1) twice
       WHERE ${key.map(({ staged }, index) => `${staged} = twice.k${index}`).join(' AND ')} AND s.ordinal > twice.kept
      RETURNING s.ordinal, twice.kept`,
    dropOrdinals: `DELETE FROM ${STAGING} WHERE ordinal = ANY ($1::int4[])`,
    indexOrdinals: `CREATE INDEX IF NOT EXISTS nightfill_ordinals ON ${STAGING} (ordinal)`,
    upsert: (range) => {
      const staged = `${STAGING} s WHERE ${range ? `s.ordinal BETWEEN ${range.first} AND ${range.last}` : 'true'}`;
      return `
      WITH written AS (
        INSERT INTO ${qualifiedName(table)} AS target (${names})
        SELECT ${list(written.map((column) => column.staged))} FROM ${staged}
        ON CONFLICT (${keyNames}) ${onConflict}
        RETURNING ${table.partitioned ? 'NULL::xid' : 'target.xmax'} AS xmax),
      counted AS (
        SELECT count(*)::int4 AS written, ${inserted(staged)} AS inserted FROM written)
      SELECT inserted, written - inserted AS updated FROM counted`;
    },
  };
}
