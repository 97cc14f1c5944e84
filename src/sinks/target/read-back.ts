import pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../postgres/postgres.ts';
import { qualifiedName } from './target-table.ts';
import type { TargetColumn, TargetTable } from './target-table.ts';
import { STAGING } from './upsert-statements.ts';

export interface SumRequest {
  column: string;
  /** The column to group by, for example the currency. */
  by?: string;
}

export interface Total {
  column: string;
  by: string | null;
  /** Rows the target holds in this group. */
  rows: number;
  /** The sum of what was sent. */
  sourced: string;
  /** The sum of what the target holds, written with as many digits as `sourced`: equal amounts are equal strings. */
  loaded: string;
  /** Rows whose amount or group in the target differs from what was sent, counted in the group that was sent. */
  altered: number;
}

/** A row of the load as the target holds it. */
export interface StoredRow {
  /** Index in the rows given. */
  row: number;
  /** The key's columns as the target holds them, as the text of a JSON array: equal keys are equal texts. */
  key: string;
  /** Per sum asked for: what was sent, and the group it belongs to; amounts as exact decimals. */
  amounts: readonly { amount: string | null; by: string | null }[];
}

export interface ReadBack {
  /**
   * SHA-256, in hex, over the SHA-256 of each row's text, ordered by the key's text. Comparable only between
   * sessions with the same output settings (DateStyle, IntervalStyle, TimeZone, bytea_output, extra_float_digits).
   */
  digest: string;
  totals: Total[];
  /** Ordinals of staged rows whose key the target does not hold. */
  missing: number[];
  /** Ordinals of staged rows whose earlier row the target still holds, because a trigger or a policy suppressed the update. */
  suppressed: number[];
  /** The other rows, by ordinal. */
  stored: StoredRow[];
}

/** Reads the staged rows back from the target by their keys: what was sent beside what is stored. */
export async function readBack(client: Queryable, table: TargetTable, sums: readonly SumRequest[]): Promise<ReadBack> {
  const { rows } = await client.query<Omit<ReadBack, 'stored'> & { stored: StoredTuple[] }>(readBackQuery(table, sums));
  const [found] = rows;
  if (!found) throw new Error('the read back gives one row');
  const { stored, ...others } = found;
  return { ...others, stored: stored.map(storedRow) };
}

/** Ordinal, key, then amount and group of each sum. */
type StoredTuple = [row: number, key: string, ...amounts: (string | null)[]];

const storedRow = ([row, key, ...texts]: StoredTuple): StoredRow => ({
  row,
  key,
  amounts: Array.from({ length: texts.length / 2 }, (_, index) => ({
    amount: texts[2 * index] ?? null,
    by: texts[2 * index + 1] ?? null,
  })),
});

function readBackQuery(table: TargetTable, sums: readonly SumRequest[]): string {
  const indexOf = (name: string): number => {
    const index = table.columns.findIndex((column) => column.name === name);
    if (index < 0) throw new UsageError(`the control's column ${name} is not loaded`, { code: 'SUM_COLUMN' });
    return index;
  };
  const cast = (index: number, type: keyof Pick<TargetColumn, 'castType' | 'formatted'>): string =>
    `s.c${index}::${table.columns[index]?.[type] ?? 'text'}`;
  const key = table.key.map(indexOf);
  const sumColumns = sums.map(({ column, by }) => {
    const value = indexOf(column);
    requireNumber(table.columns[value]);
    const group = by === undefined ? undefined : indexOf(by);
    return {
      sourced: `${cast(value, 'castType')}::numeric`,
      loaded: `t.c${value}::numeric`,
      // Texts that are equal by a collation of the target are different groups.
      sourcedBy: group === undefined ? 'NULL::text' : `${cast(group, 'formatted')}::text COLLATE "C"`,
      // In the job's type, because a wider column of the target may print the same value differently.
      loadedBy:
        group === undefined ? 'NULL::text' : `t.c${group}::${table.columns[group]!.formatted}::text COLLATE "C"`,
    };
  });
  // A row that this transaction did not write must equal what was sent. Checked only where an update can be suppressed.
  const suppressed = table.guarded
    ? `t.found AND age(t.written) > age(pg_current_xact_id()::xid) AND (${table.columns
        .map(
          ({ formatted }, index) => `t.c${index}::${formatted}::text IS DISTINCT FROM s.c${index}::${formatted}::text`,
        )
        .join(' OR ')})`
    : 'false';

  // LATERAL … LIMIT 1 asks for one index lookup per staged row: without statistics on the staging table the planner
  // may choose to read the whole target for every chunk.
  return `
    WITH loaded AS MATERIALIZED (
      SELECT s.ordinal, t.found, ${suppressed} AS suppressed,
             sha256(convert_to(ROW(${table.columns.map((_, index) => `t.c${index}`).join(', ')})::text, 'UTF8')) AS digest
             ${key.map((index, position) => `, t.c${index}::text AS k${position}`).join('')}
             ${sumColumns
               .map(
                 ({ sourced, loaded, sourcedBy, loadedBy }, index) =>
                   `, ${sourced} AS sourced${index}, ${loaded} AS loaded${index}
                    , ${sourcedBy} AS sourced_by${index}, ${loadedBy} AS loaded_by${index}`,
               )
               .join('')}
        FROM ${STAGING} s
        LEFT JOIN LATERAL (
          SELECT true AS found${table.guarded ? ', t.xmin AS written' : ''}, ${table.columns.map(({ name }, index) => `t.${pg.escapeIdentifier(name)} AS c${index}`).join(', ')}
            FROM ${qualifiedName(table)} t
           WHERE ${key.map((index) => `t.${pg.escapeIdentifier(table.columns[index]?.name ?? '')} = ${cast(index, 'castType')}`).join(' AND ')}
           LIMIT 1) t ON true)
    SELECT encode(sha256(coalesce(string_agg(digest, '' ORDER BY ${key
      .map((_, position) => `k${position} COLLATE "C"`)
      .join(', ')}) FILTER (WHERE found), '')), 'hex') AS digest,
           coalesce(json_agg(ordinal ORDER BY ordinal) FILTER (WHERE found IS NULL), '[]') AS missing,
           coalesce(json_agg(ordinal ORDER BY ordinal) FILTER (WHERE suppressed), '[]') AS suppressed,
           coalesce(json_agg(json_build_array(ordinal, json_build_array(${key
             .map((_, position) => `k${position}`)
             .join(', ')})::text${sums
             .map((_, index) => `, sourced${index}::text, sourced_by${index}`)
             .join('')}) ORDER BY ordinal) FILTER (WHERE found), '[]') AS stored,
           ${totalsQuery(sums)} AS totals
      FROM loaded`;
}

/** The totals as a JSON array; amounts as strings, since JSON numbers would become floats. */
function totalsQuery(sums: readonly SumRequest[]): string {
  if (sums.length === 0) return `'[]'::json`;
  const pairs = sums.map(
    ({ column }, index) => `
      SELECT ${index} AS sum, ${pg.escapeLiteral(column)} AS "column", sourced_by${index} AS sourced_by,
             loaded_by${index} AS loaded_by, count(*) AS rows, sum(sourced${index}) AS sourced, sum(loaded${index}) AS loaded,
             count(*) FILTER (WHERE sourced${index} IS DISTINCT FROM loaded${index}
               OR sourced_by${index} IS DISTINCT FROM loaded_by${index}) AS altered
        FROM loaded WHERE found GROUP BY sourced_by${index}, loaded_by${index}`,
  );
  // A trigger may change the group too, so each side is counted in its own group.
  return `(
    WITH pairs AS (${pairs.join(' UNION ALL ')}),
    sides AS (
      SELECT sum, "column", sourced_by AS by, 0 AS rows, sourced, 0 AS loaded, altered FROM pairs
      UNION ALL
      SELECT sum, "column", loaded_by, rows, 0, loaded, 0 FROM pairs),
    totals AS (
      SELECT sum, "column", by, sum(rows) AS rows, sum(altered) AS altered, coalesce(sum(sourced), 0) AS sourced, coalesce(sum(loaded), 0) AS loaded
        FROM sides GROUP BY sum, "column", by)
    SELECT coalesce(json_agg(json_build_object('column', "column", 'by', by, 'rows', rows, 'altered', altered,
             'sourced', round(sourced, greatest(scale(sourced), scale(loaded), 0))::text,
             'loaded', round(loaded, greatest(scale(sourced), scale(loaded), 0))::text)
             ORDER BY sum, by COLLATE "C"), '[]') FROM totals)`;
}

function requireNumber(column: TargetColumn | undefined): void {
  if (column && ['integer', 'numeric', 'float'].includes(column.shape.kind)) return;
  const message = `the sum control on ${column?.name} needs a numeric column, and it is ${column?.formatted}`;
  throw new UsageError(`${message}: declare it numeric, or remove the control`, { code: 'SUM_NOT_NUMERIC' });
}
