import pg from 'pg';
import type { Queryable } from '../postgres/postgres.ts';
import type { ColumnShape } from './column-value.ts';
import { declaredDigits, declaredLength } from './type-modifier.ts';

/** A type as Postgres resolved it. */
export interface CatalogType {
  oid: number;
  /** -1 without a modifier, and for domains, which carry theirs inside. */
  modifier: number;
  formatted: string;
  castType: string;
  shape: ColumnShape;
}

export interface CatalogColumn {
  name: string;
  typeOid: string;
  typeModifier: number;
  formatted: string;
  notNull: boolean;
  /** NOT NULL without a default. */
  mustBeGiven: boolean;
  /** Generated, or GENERATED ALWAYS AS IDENTITY. */
  refusesValues: boolean;
  select: boolean;
  insert: boolean;
  update: boolean;
}

export interface Catalog {
  /** Names for statements, quoted where they must be. */
  role: string;
  database: string;
  /** Whether a temporary table may be made. */
  temporary: boolean;
  createSchema: boolean;
  /** Absent when it does not exist. */
  schema?: { usage: boolean; create: boolean };
  /** Absent when it does not exist. `kind` is pg_class.relkind. */
  relation?: { kind: string; rules: boolean; guarded: boolean; columns: CatalogColumn[]; uniqueKeys: string[][] };
}

const databaseQuery = `
  SELECT quote_ident(current_user) AS role,
         quote_ident(current_database()) AS database,
         has_database_privilege(current_database(), 'TEMP') AS temporary,
         has_database_privilege(current_database(), 'CREATE') AS "createSchema",
         has_schema_privilege(n.oid, 'USAGE') AS usage,
         has_schema_privilege(n.oid, 'CREATE') AS create,
         c.oid::text AS oid,
         c.relkind::text AS kind,
         EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3')) AS rules,
         coalesce(c.relrowsecurity, false) OR EXISTS (
           SELECT FROM pg_trigger g
            WHERE (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))
              AND NOT g.tgisinternal AND g.tgtype & 3 = 3) AS guarded
    FROM (SELECT) one
    LEFT JOIN pg_namespace n ON n.nspname = $1
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2`;

// A column of a NOT NULL domain must be given too, although its attnotnull is false.
const columnsQuery = `
  SELECT a.attname AS name,
         a.atttypid::text AS "typeOid",
         a.atttypmod AS "typeModifier",
         format_type(a.atttypid, a.atttypmod) AS formatted,
         a.attnotnull OR t.typnotnull AS "notNull",
         (a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL AS "mustBeGiven",
         a.attgenerated <> '' OR a.attidentity = 'a' AS "refusesValues",
         has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS select,
         has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS insert,
         has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS update
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
   ORDER BY a.attnum`;

// The unique keys that ON CONFLICT (columns) can use: not partial, not deferrable, on plain columns.
const uniqueKeysQuery = `
  SELECT array_agg(a.attname::text ORDER BY k.position) AS key
    FROM pg_index i
   CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
   WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate
     AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts
   GROUP BY i.indexrelid
   ORDER BY i.indexrelid`;

/** Reads what the catalog says about the table. */
export async function readCatalog(client: Queryable, table: { schema: string; name: string }): Promise<Catalog> {
  const { rows } = await client.query<{
    role: string;
    database: string;
    temporary: boolean;
    createSchema: boolean;
    usage: boolean | null;
    create: boolean | null;
    oid: string | null;
    kind: string | null;
    rules: boolean;
    guarded: boolean;
  }>(databaseQuery, [table.schema, table.name]);
  const [found] = rows;
  if (!found) throw new Error('the catalog query gives one row');
  const { usage, create, oid, kind, rules, guarded, ...rest } = found;
  if (usage === null || create === null) return rest;
  if (oid === null || kind === null) return { ...rest, schema: { usage, create } };
  const columns = await client.query<CatalogColumn>(columnsQuery, [oid]);
  const uniqueKeys = await client.query<{ key: string[] }>(uniqueKeysQuery, [oid]);
  const relation = { kind, rules, guarded, columns: columns.rows, uniqueKeys: uniqueKeys.rows.map(({ key }) => key) };
  return { ...rest, schema: { usage, create }, relation };
}

// Walks from each type through its domains and its elements down to the last one. Names outside pg_catalog are written
// in full, because the search_path may be another one when rows are loaded.
const typesQuery = `
  WITH RECURSIVE chain AS (
    SELECT position, to_regtype(name)::oid AS oid, modifier, 0 AS depth
      FROM unnest($1::text[], $2::int4[]) WITH ORDINALITY AS declared (name, modifier, position)
    UNION ALL
    SELECT c.position,
           CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
           CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE c.modifier END,
           c.depth + 1
      FROM chain c
      JOIN pg_type t ON t.oid = c.oid
     WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
  )
  SELECT c.position::int4 - 1 AS position,
         c.modifier,
         t.oid::text AS oid,
         t.typtype::text AS type,
         t.typcategory::text AS category,
         CASE n.nspname WHEN 'pg_catalog' THEN format_type(t.oid, c.modifier)
           ELSE quote_ident(n.nspname) || '.' || quote_ident(t.typname)
                || coalesce(substring(format_type(t.oid, c.modifier) FROM '\\([^()]*\\)$'), '') END AS formatted,
         CASE n.nspname WHEN 'pg_catalog' THEN format_type(t.oid, -1)
           ELSE quote_ident(n.nspname) || '.' || quote_ident(t.typname) END AS "castType"
    FROM chain c
    JOIN pg_type t ON t.oid = c.oid
    JOIN pg_namespace n ON n.oid = t.typnamespace
   ORDER BY c.position, c.depth`;

interface TypeLink {
  position: number;
  modifier: number;
  oid: string;
  /** pg_type.typtype: `d` is a domain, `p` a pseudo-type. */
  type: string;
  category: string;
  formatted: string;
  castType: string;
}

/**
 * How Postgres resolves each type name, in order. Read-only: the description of a result without rows gives the modifiers.
 * Check first that the names are type names. Throws pg's DatabaseError when one does not exist.
 */
export async function describeTypes(client: Queryable, names: readonly string[]): Promise<CatalogType[]> {
  // WHERE false: NULL cast to a domain that forbids it would fail.
  const casts = names.map((name, index) => `CAST(NULL AS ${name}) AS c${index}`).join(', ');
  const { fields } = await client.query(`SELECT ${casts} WHERE false`);
  const modifiers = fields.map(({ dataTypeModifier }) => dataTypeModifier);
  const { rows } = await client.query<TypeLink>(typesQuery, [names, modifiers]);
  return names.map((name, position) => {
    const chain = rows.filter((link) => link.position === position);
    const [outer] = chain;
    if (!outer) throw new Error(`Postgres described the type ${name} and then did not find it`);
    // The description of a result gives the modifier of a domain's base type, not of the domain.
    const modifier = outer.type === 'd' ? -1 : outer.modifier;
    const { castType } = outer;
    const formatted = outer.type === 'd' ? castType : outer.formatted;
    return { oid: Number(outer.oid), modifier, formatted, castType, shape: shapeOf(chain) };
  });
}

const { builtins } = pg.types;

const kinds = new Map<number, ColumnShape['kind']>([
  [builtins.BOOL, 'boolean'],
  ...[builtins.INT2, builtins.INT4, builtins.INT8, builtins.OID].map((oid) => [oid, 'integer'] as const),
  ...[builtins.FLOAT4, builtins.FLOAT8].map((oid) => [oid, 'float'] as const),
  ...[builtins.MONEY, builtins.NUMERIC].map((oid) => [oid, 'numeric'] as const),
  [builtins.DATE, 'date'],
  [builtins.TIMESTAMP, 'timestamp'],
  ...[builtins.JSON, builtins.JSONB].map((oid) => [oid, 'json'] as const),
]);

function shapeOf(chain: readonly TypeLink[]): ColumnShape {
  const [link, ...inner] = chain;
  if (!link) return { kind: 'other' };
  if (link.type === 'd') return shapeOf(inner);
  if (inner.length > 0) return { kind: 'array', element: shapeOf(inner) };
  const oid = Number(link.oid);
  const kind = kinds.get(oid) ?? (link.category === 'S' ? 'text' : 'other');
  // money has two digits after the point unless lc_monetary says otherwise; then declare numeric.
  if (oid === builtins.MONEY) return { kind, precision: 19, scale: 2 };
  if (kind === 'numeric') return { kind, ...declaredDigits(link.modifier) };
  const length = kind === 'text' ? declaredLength(link.modifier) : undefined;
  return length === undefined ? { kind } : { kind, length };
}
