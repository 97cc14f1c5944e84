import pg from 'pg';
import { NightfillError, UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../postgres/postgres.ts';
import { commonType, isAtLeastAsWide, type TypeWithModifier } from './column-fit.ts';
import type { ColumnShape } from './column-value.ts';
import { isPostgresType } from './postgres-type.ts';
import { describeTypes, readCatalog } from './target-catalog.ts';
import type { Catalog, CatalogColumn, CatalogType } from './target-catalog.ts';

/** A table to load into, as the job file declares it. */
export interface TargetDeclaration {
  table: { schema: string; name: string };
  key: readonly string[];
  columns: readonly { name: string; type: string }[];
  /** Whether a missing table (and schema) is created. */
  create: boolean;
  /** `mark`: the table has the column `missing_since` too. */
  missing?: 'keep' | 'mark';
}

/** The column with the first business date on which the row's contract was no longer listed; NULL while it is listed. */
export const markColumn = { name: 'missing_since', type: 'date' } as const;

export interface TargetColumn {
  name: string;
  /** As declared, for example `decimal(18,2)`. */
  type: string;
  /** As Postgres names it, modifier included: `numeric(18,2)`. Qualified unless it belongs to pg_catalog. */
  formatted: string;
  /** The type to cast text to, without a modifier, because an explicit cast to `varchar(3)` truncates silently. */
  castType: string;
  shape: ColumnShape;
}

export interface TargetTable {
  schema: string;
  name: string;
  key: string[];
  columns: TargetColumn[];
  /** Partitioned tables cannot return system columns. */
  partitioned: boolean;
  /** It has BEFORE ROW triggers or row level security, which may suppress an update silently. */
  guarded: boolean;
  /** It has the mark column, which a load sets back to NULL. */
  marked: boolean;
}

export interface TargetProblem {
  code: string;
  message: string;
  column?: string;
}

export interface Inspection {
  /** Everything that prevents the load; empty when it can start. */
  problems: TargetProblem[];
  exists: boolean;
  /** The table as it is or would be created; absent when a declared type could not be resolved. */
  table?: TargetTable;
}

/** A quoted name with its schema. */
export function qualifiedName({ schema, name }: { schema: string; name: string }): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
}

/** Compares the declaration with the database and writes nothing. Call it inside a transaction: it uses savepoints. */
export async function inspectTarget(client: Queryable, declared: TargetDeclaration): Promise<Inspection> {
  const marked = declared.missing === 'mark';
  const load = marked ? { ...declared, columns: [...declared.columns, markColumn] } : declared;
  const problems: TargetProblem[] = [];
  const types = await resolveTypes(client, load, problems);
  const catalog = await readCatalog(client, load.table);
  problems.push(...declarationProblems(load), ...databaseProblems(load, types, catalog));
  const exists = catalog.relation !== undefined;
  const columns = declared.columns.flatMap(({ name, type }) => {
    const resolved = types.get(name);
    if (!resolved) return [];
    const { formatted, castType, shape } = resolved;
    return [{ name, type, formatted, castType, shape }];
  });
  if (columns.length < declared.columns.length) return { problems, exists };
  const partitioned = catalog.relation?.kind === 'p';
  const guarded = catalog.relation?.guarded ?? false;
  const table = { ...load.table, key: [...load.key], columns, partitioned, guarded, marked };
  return { problems, exists, table };
}

/**
 * The target table, created when it is missing and may be. Call it inside a transaction.
 * Throws a UsageError that names every problem.
 */
export async function prepareTarget(client: Queryable, load: TargetDeclaration): Promise<TargetTable> {
  const { problems, exists, table } = await inspectTarget(client, load);
  if (problems.length > 0 || !table) {
    const list = problems.map(({ message }) => `\n- ${message}`).join('');
    throw new UsageError(`${load.table.schema}.${load.table.name} cannot be loaded:${list}`, { code: 'TARGET_TABLE' });
  }
  if (!exists) await createTable(client, table);
  return table;
}

/** The target can no longer be loaded, although it could when the run began. */
export class TargetLostError extends NightfillError {
  constructor({ table }: TargetDeclaration, o: { problems: readonly string[]; cause: unknown }) {
    super({
      code: 'TARGET_LOST',
      class: 'config',
      message: `${table.schema}.${table.name} can no longer be loaded: ${o.problems.join('; ')}. The run ends; correct this and run the same command again`,
      cause: o.cause,
    });
  }
}

/** Throws TargetLostError unless the target is as the job declares it. Call it inside a transaction. */
export async function requireTarget(client: Queryable, load: TargetDeclaration, cause: unknown): Promise<void> {
  const { problems, exists } = await inspectTarget(client, load);
  const found = exists ? problems.map(({ message }) => message) : ['the table is gone'];
  if (found.length > 0) throw new TargetLostError(load, { problems: found, cause });
}

/** Creates the target as declared, unless another process creates it at the same time. */
export async function createTable(client: Queryable, table: TargetTable): Promise<void> {
  const columns = table.columns.map(({ name, formatted }) => `${pg.escapeIdentifier(name)} ${formatted}`);
  if (table.marked) columns.push(`${markColumn.name} ${markColumn.type}`);
  const key = table.key.map((name) => pg.escapeIdentifier(name)).join(', ');
  // IF NOT EXISTS alone fails with a unique violation in the catalog when two create the table at once.
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, [`nightfill ${qualifiedName(table)}`]);
  const { rows } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [table.schema]);
  // Not IF NOT EXISTS alone, which requires the privilege to create even when the schema exists.
  if (rows.length === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(table.schema)}`);
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${qualifiedName(table)} (${columns.join(', ')}, PRIMARY KEY (${key}))`,
  );
}

function declarationProblems({ key, columns }: TargetDeclaration): TargetProblem[] {
  const names = columns.map(({ name }) => name);
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index));
  const problems = [...twice].map((column) => problem('COLUMN_TWICE', 'is declared twice', column));
  if (key.length === 0) problems.push({ code: 'KEY_EMPTY', message: 'the load key names no column' });
  for (const column of key.filter((name) => !names.includes(name))) {
    problems.push(problem('KEY_NOT_LOADED', 'is part of the key and is not among the columns', column));
  }
  return problems;
}

function problem(code: string, message: string, column: string): TargetProblem {
  return { code, column, message: `column ${column} ${message}` };
}

function databaseProblems(load: TargetDeclaration, types: Map<string, CatalogType>, catalog: Catalog): TargetProblem[] {
  const { schema, name } = load.table;
  const { relation } = catalog;
  const problems: TargetProblem[] = [];
  if (!catalog.temporary) {
    const message = `the database role may not make temporary tables, which loading needs: GRANT TEMPORARY ON DATABASE ${catalog.database} TO ${catalog.role}`;
    problems.push({ code: 'NO_TEMPORARY', message });
  }
  if (catalog.schema && !catalog.schema.usage) {
    const message = `the database role may not use the schema ${schema}: GRANT USAGE ON SCHEMA ${pg.escapeIdentifier(schema)} TO ${catalog.role}`;
    problems.push({ code: 'NO_PRIVILEGE', message });
  }
  if (!relation) return [...problems, ...creationProblems(load, catalog)];
  if (relation.kind !== 'r' && relation.kind !== 'p') {
    const message = `${schema}.${name} is not a table (pg_class.relkind ${relation.kind}): name an ordinary or partitioned table`;
    return [...problems, { code: 'NOT_A_TABLE', message }];
  }
  if (relation.rules) {
    const message = `${schema}.${name} has rules on INSERT or UPDATE, with which Postgres does not allow an upsert: drop them`;
    problems.push({ code: 'TABLE_HAS_RULES', message });
  }
  return [
    ...problems,
    ...columnProblems(load, types, { ...relation, role: catalog.role }),
    ...keyProblems(load, relation),
  ];
}

function creationProblems({ table, create }: TargetDeclaration, catalog: Catalog): TargetProblem[] {
  const { schema, name } = table;
  if (!create) {
    const message = `the table ${schema}.${name} does not exist, and create is false: create it, or leave create out`;
    return [{ code: 'TABLE_MISSING', message }];
  }
  if (catalog.schema?.create ?? catalog.createSchema) return [];
  const message = catalog.schema
    ? `the database role may not create ${schema}.${name}: GRANT CREATE ON SCHEMA ${pg.escapeIdentifier(schema)} TO ${catalog.role}, or create the table`
    : `the schema ${schema} does not exist, and the database role may not create it: GRANT CREATE ON DATABASE ${catalog.database} TO ${catalog.role}, or create it`;
  return [{ code: 'NO_PRIVILEGE', message }];
}

type Relation = NonNullable<Catalog['relation']>;

function columnProblems(
  { table, key, columns, missing: whenMissing }: TargetDeclaration,
  types: Map<string, CatalogType>,
  relation: Relation & { role: string },
): TargetProblem[] {
  const problems: TargetProblem[] = [];
  const alter = `ALTER TABLE ${qualifiedName(table)}`;
  for (const { name, type } of columns) {
    const there = relation.columns.find((column) => column.name === name);
    const isMark = whenMissing === 'mark' && name === markColumn.name;
    const declared = types.get(name);
    if (!there) {
      const why = isMark ? ', and missing: mark needs it' : '';
      const add = declared ? `: ${alter} ADD COLUMN ${pg.escapeIdentifier(name)} ${declared.formatted}` : '';
      problems.push(problem('COLUMN_MISSING', `does not exist in the table${why}${add}`, name));
      continue;
    }
    if (declared && !fits({ there, declared, isMark })) {
      const remedy = remedyFor({ name, there, declared });
      problems.push(
        problem('TYPE_DIFFERS', `is ${there.formatted} in the table and ${type} in the job; ${remedy(alter)}`, name),
      );
    }
    if (there.refusesValues)
      problems.push(problem('COLUMN_GENERATED', 'is generated by the table and takes no value', name));
    if (isMark && there.notNull)
      problems.push(
        problem('COLUMN_NOT_NULL', 'is NOT NULL, and rows of listed contracts have none: DROP NOT NULL', name),
      );
    const needed = { SELECT: there.select, INSERT: there.insert, UPDATE: there.update || key.includes(name) };
    const missing = Object.entries(needed).flatMap(([privilege, granted]) => (granted ? [] : [privilege]));
    if (missing.length > 0) {
      problems.push(
        problem(
          'NO_PRIVILEGE',
          `needs the privilege ${missing.join(', ')}, which the database role lacks: ${grantLoad(table, relation.role)}`,
          name,
        ),
      );
    }
  }
  const loaded = new Set(columns.map(({ name }) => name));
  for (const { name } of relation.columns.filter((column) => column.mustBeGiven && !loaded.has(column.name))) {
    problems.push(problem('COLUMN_NOT_FILLED', 'is NOT NULL, has no default, and the job does not load it', name));
  }
  return problems;
}

/** The mark must be a date, because it is compared and written as one. */
const fits = ({ there, declared, isMark }: { there: CatalogColumn; declared: CatalogType; isMark: boolean }): boolean =>
  isMark ? Number(there.typeOid) === declared.oid : isAtLeastAsWide(typeOf(there), declared);

const typeOf = ({ typeOid, typeModifier }: CatalogColumn): TypeWithModifier => ({
  oid: Number(typeOid),
  modifier: typeModifier,
});

/** The statement that makes the table's column take the job's values. */
function remedyFor({
  name,
  there,
  declared,
}: {
  name: string;
  there: CatalogColumn;
  declared: CatalogType;
}): (alter: string) => string {
  const column = pg.escapeIdentifier(name);
  // No value of the table is lost when the new type takes every value of the old one.
  const wider = isAtLeastAsWide(declared, typeOf(there)) ? declared.formatted : commonType(typeOf(there), declared);
  if (wider !== undefined) return (alter) => `the table's is too narrow: ${alter} ALTER COLUMN ${column} TYPE ${wider}`;
  const { formatted, castType } = declared;
  return (alter) =>
    `name the table's type in the job, or change the table if its values can be cast: ${alter} ALTER COLUMN ${column} TYPE ${formatted} USING ${column}::${castType}`;
}

/** The privileges that a load needs, on the whole table: the upsert reads a system column, which a column's privilege does not cover. */
export const grantLoad = (table: { schema: string; name: string }, role: string): string =>
  `GRANT SELECT, INSERT, UPDATE ON ${qualifiedName(table)} TO ${role}`;

function keyProblems({ table, key }: TargetDeclaration, { uniqueKeys }: Relation): TargetProblem[] {
  const wanted = new Set(key);
  if (uniqueKeys.some((unique) => unique.length === wanted.size && unique.every((name) => wanted.has(name)))) return [];
  const message =
    `${table.schema}.${table.name} has no primary key or unique index on exactly (${key.join(', ')}) ` +
    '(a partial or deferrable one, or one on an expression, cannot be used): create one, or change the load key';
  return [{ code: 'KEY_NOT_UNIQUE', message }];
}

/** The declared types by column, as Postgres understands them; what it does not understand becomes a problem. */
async function resolveTypes(
  client: Queryable,
  { columns }: TargetDeclaration,
  problems: TargetProblem[],
): Promise<Map<string, CatalogType>> {
  const wellFormed = columns.filter(({ name, type }) => {
    if (isPostgresType(type)) return true;
    problems.push(problem('TYPE_UNKNOWN', `has the type "${type}", which is not the name of a type`, name));
    return false;
  });
  return new Map(await resolveAll(client, wellFormed, problems));
}

/** Resolves all types at once, and one by one when that fails, so that the message can name the column. */
async function resolveAll(
  client: Queryable,
  columns: readonly { name: string; type: string }[],
  problems: TargetProblem[],
): Promise<[string, CatalogType][]> {
  if (columns.length === 0) return [];
  await client.query('SAVEPOINT nightfill_types');
  try {
    const types = await describeTypes(
      client,
      columns.map(({ type }) => type),
    );
    await client.query('RELEASE nightfill_types');
    return columns.flatMap(({ name }, index) => (types[index] ? [[name, types[index]]] : []));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    await client.query('ROLLBACK TO nightfill_types; RELEASE nightfill_types');
    const [only, ...others] = columns;
    if (only && others.length === 0) {
      const message = `has the type "${only.type}", which Postgres does not accept: ${error.message}`;
      problems.push(problem('TYPE_UNKNOWN', message, only.name));
      return [];
    }
  }
  const found: [string, CatalogType][] = [];
  // oxlint-disable-next-line no-await-in-loop -- statements of one connection run one at a time
  for (const column of columns) found.push(...(await resolveAll(client, [column], problems)));
  return found;
}
