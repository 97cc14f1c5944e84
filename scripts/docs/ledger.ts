import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Queryable } from '../../src/sinks/postgres/postgres.ts';
import { readCatalog, type CatalogColumn, type CatalogTable } from './catalog.ts';
import { code, fillPage, partsOf, requireParts, table } from './page.ts';

const file = 'docs/reference/ledger.md';
const migrations = new URL('../../sql/', import.meta.url);
const digestPart = 'digest';

/**
 * Whether the page was made from the migrations as they are now, and nobody changed what was made. Needs no database,
 * because the page keeps a digest of both; a test holds it against a migrated database.
 */
export async function isLedgerPageCurrent(page: string): Promise<boolean> {
  return (
    partsOf(page)
      .get(digestPart)
      ?.includes(await digestOf(page)) === true
  );
}

/** The page, its tables described as the catalog of a migrated database describes them. */
export async function ledgerPage(page: string, client: Queryable): Promise<string> {
  const tables = await readCatalog(client);
  requireComments(tables);
  requireParts(file, page, [digestPart, ...tables.map(({ name }) => name)]);
  const byName = new Map(tables.map((one) => [one.name, one]));
  const filled = fillPage(page, (name) => (name === digestPart ? '' : tableText(byName.get(name)!)));
  const digest = `<!-- sha256 of sql/, of what made the tables below, and of the tables: ${await digestOf(filled)} -->`;
  return fillPage(filled, (name) => (name === digestPart ? digest : partsOf(filled).get(name)!));
}

/** SHA-256 of the migrations, of this generator, and of the page's other parts. */
async function digestOf(page: string): Promise<string> {
  const hash = createHash('sha256');
  const names = (await readdir(migrations)).filter((name) => name.endsWith('.sql')).toSorted();
  const made = [new URL(import.meta.url), new URL('catalog.ts', import.meta.url)];
  const files = [...names.map((name) => new URL(name, migrations)), ...made];
  for (const text of await Promise.all(files.map(async (from) => readFile(from, 'utf8')))) hash.update(text);
  for (const [name, text] of partsOf(page)) if (name !== digestPart) hash.update(`${name}\n${text}`);
  return hash.digest('hex');
}

function requireComments(tables: readonly CatalogTable[]): void {
  const silent = tables.flatMap(({ name, comment, columns }) => [
    ...(comment === null ? [`TABLE nightfill.${name}`] : []),
    ...columns.filter((column) => column.comment === null).map((column) => `COLUMN nightfill.${name}.${column.name}`),
  ]);
  if (silent.length === 0) return;
  throw new Error(
    `these have no comment; give each one in its migration, or in a new one when that is released:\n${silent
      .map((what) => `COMMENT ON ${what} IS '…';`)
      .join('\n')}`,
  );
}

function tableText({ comment, columns, keys }: CatalogTable): string {
  return [
    comment!,
    table(
      ['column', 'type', 'default', 'meaning'],
      columns.map((column) => [code(column.name), typeOf(column), defaultOf(column), meaningOf(column)]),
    ),
    ...(keys.length === 0 ? [] : [keys.map(code).join(', ')]),
  ].join('\n\n');
}

const typeOf = ({ type, nullable }: CatalogColumn): string => (nullable ? `${type}, may be NULL` : type);
const defaultOf = (column: CatalogColumn): string =>
  column.default === null ? '' : code(column.default.replace(/::\w+$/, ''));
const meaningOf = ({ comment, choices }: CatalogColumn): string =>
  choices.length === 0 ? comment! : `${choices.map(code).join(', ')}. ${comment!}`;
