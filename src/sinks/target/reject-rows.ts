import pg from 'pg';
import { isDataState } from '../postgres/database-error.ts';
import type { Queryable } from '../postgres/postgres.ts';
import type { TargetColumn } from './target-table.ts';
import { STAGING } from './upsert-statements.ts';

export interface RejectedRow {
  /** Index in the rows given. */
  row: number;
  /** Absent when the row as a whole is refused. */
  column?: string;
  /** KEY_MISSING, DUPLICATE_KEY, NOT_STORED, VALUE_NOT_UNICODE, or PG_ and the SQLSTATE: PG_22P02. */
  code: string;
  message: string;
}

/** Whether one row can have caused the error, so that the others would load without it. Not deadlocks and lost connections. */
export function isRowError(error: unknown): error is pg.DatabaseError {
  if (!(error instanceof pg.DatabaseError)) return false;
  const { code = '', routine } = error;
  // XX000 is raised by extensions without a SQLSTATE of their own. A row that a policy forbids has the SQLSTATE of a missing
  // privilege; the name of the server's routine is the only difference that no language setting translates.
  return isDataState(code) || code === 'XX000' || (code === '42501' && routine === 'ExecWithCheckOptions');
}

/** Whether a value can have caused the error: names of tables or roles, for example, fail with class 42. */
export function isValueError(error: unknown): error is pg.DatabaseError {
  return isRowError(error) || (error instanceof pg.DatabaseError && error.code?.startsWith('42') === true);
}

/** The rejection of a row that Postgres refused as a whole. */
export function refusal(row: number, error: pg.DatabaseError): RejectedRow {
  const detail = error.detail ? ` (${error.detail})` : '';
  const message = `Postgres refused the row: ${error.message}${detail}`;
  return { row, ...(error.column && { column: error.column }), code: `PG_${error.code}`, message };
}

/** The staged rows with a value that its column's type does not accept, at most one rejection each. */
export async function findInvalidValues(
  client: Queryable,
  columns: readonly { index: number; column: TargetColumn }[],
): Promise<RejectedRow[]> {
  const checked = columns.filter(({ column }) => column.shape.kind !== 'text' || column.shape.length !== undefined);
  if (checked.length === 0) return [];
  const inputErrors = await inputErrorFunction(client);
  const found = new Map<number, RejectedRow>();
  for (const { index, column } of checked) {
    // oxlint-disable-next-line no-await-in-loop -- statements of one connection run one at a time
    const invalid = await invalidValues(client, { index, type: column.formatted, inputErrors });
    for (const { ordinal, message, code } of invalid) {
      if (found.has(ordinal)) continue;
      const sentence = `column ${column.name} (${column.formatted}) cannot hold the value: ${message}`;
      found.set(ordinal, { row: ordinal, column: column.name, code: `PG_${code}`, message: sentence });
    }
  }
  return [...found.values()];
}

async function invalidValues(
  client: Queryable,
  { index, type, inputErrors }: { index: number; type: string; inputErrors: string },
): Promise<{ ordinal: number; message: string; code: string }[]> {
  const literal = pg.escapeLiteral(type);
  await client.query('SAVEPOINT nightfill_values');
  try {
    const { rows } = await client.query<{ ordinal: number; message: string; code: string }>(`
      SELECT s.ordinal, e.message, e.sql_error_code AS code
        FROM ${STAGING} s CROSS JOIN LATERAL ${inputErrors}(s.c${index}, ${literal}) e
       WHERE s.c${index} IS NOT NULL AND e.message IS NOT NULL`);
    await client.query('RELEASE nightfill_values');
    return rows;
  } catch (error) {
    if (!isValueError(error)) throw error;
    // The types of some extensions raise an error instead of returning one; their rows are then found by halving.
    await client.query('ROLLBACK TO nightfill_values; RELEASE nightfill_values');
    return [];
  }
}

/** The name of a function of (value, type) that gives `message` and `sql_error_code`, NULL for a valid value. */
async function inputErrorFunction(client: Queryable): Promise<string> {
  const { rows } = await client.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int4 AS version",
  );
  if ((rows[0]?.version ?? 0) >= 160_000) return 'pg_catalog.pg_input_error_info';
  await client.query(`
    CREATE OR REPLACE FUNCTION pg_temp.nightfill_input_error(value text, type text, OUT message text, OUT sql_error_code text)
    LANGUAGE plpgsql AS $function$
    BEGIN
      EXECUTE format('SELECT CAST(%L AS %s)', value, type);
    EXCEPTION WHEN OTHERS THEN
      message := SQLERRM;
      sql_error_code := SQLSTATE;
    END $function$`);
  return 'pg_temp.nightfill_input_error';
}
