import type { Queryable } from '../../src/sinks/postgres/postgres.ts';

export interface CatalogColumn {
  name: string;
  type: string;
  nullable: boolean;
  default: string | null;
  /** The texts a CHECK allows; empty when it allows any. */
  choices: string[];
  comment: string | null;
}

export interface CatalogTable {
  name: string;
  comment: string | null;
  columns: CatalogColumn[];
  /** As Postgres writes them: primary key, unique, foreign keys, then indexes. */
  keys: string[];
}

/** The tables of the schema nightfill, as the catalog of a migrated database has them, in alphabetical order. */
export async function readCatalog(client: Queryable): Promise<CatalogTable[]> {
  const { rows } = await client.query<CatalogTable>(`
    SELECT relname AS name, obj_description(pg_class.oid, 'pg_class') AS comment, columns, keys
    FROM pg_class,
      LATERAL (
        SELECT json_agg(json_build_object(
            'name', attname,
            'type', replace(format_type(atttypid, atttypmod), 'timestamp with time zone', 'timestamptz'),
            'nullable', NOT attnotnull,
            'default', pg_get_expr(adbin, adrelid),
            'choices', coalesce(choices, '[]'),
            'comment', col_description(pg_class.oid, attnum)
          ) ORDER BY attnum) AS columns
        FROM pg_attribute
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN LATERAL (
          SELECT json_agg(choice[1] ORDER BY place) AS choices
          FROM pg_constraint,
            regexp_matches(pg_get_constraintdef(oid), '''([^'']*)''::text', 'g') WITH ORDINALITY AS found (choice, place)
          WHERE conrelid = attrelid AND contype = 'c' AND conkey = ARRAY[attnum]
        ) AS checks ON true
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
      ) AS columns,
      LATERAL (
        SELECT coalesce(json_agg(definition ORDER BY sort, definition), '[]') AS keys
        FROM (
          SELECT pg_get_constraintdef(oid) AS definition, position(contype::text IN 'puf') AS sort
          FROM pg_constraint WHERE conrelid = pg_class.oid AND contype IN ('p', 'u', 'f')
          UNION ALL
          SELECT 'INDEX ' || regexp_replace(pg_get_indexdef(indexrelid), '^.* USING btree ', ''), 4
          FROM pg_index
          WHERE indrelid = pg_class.oid AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        ) AS keys
      ) AS keys
    WHERE relnamespace = 'nightfill'::regnamespace AND relkind = 'r'
    ORDER BY relname`);
  return rows;
}
