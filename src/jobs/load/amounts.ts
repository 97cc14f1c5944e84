import type { StoredRow } from '../../sinks/target/copy-upsert.ts';
import type { SumDefinition } from '../../ledger/books/known-amounts.ts';
import { scalarText, type Json } from '../../sources/json/exact-json.ts';
import { getPath, type JsonPath } from '../../sources/json/json-path.ts';
import type { KnownAmount } from '../../ledger/amount.ts';
import { templatePaths } from '../../sources/json/template.ts';
import type { Column, Job } from '../job.ts';

/** A column that a control sums, and the column its sums are split by. */
export interface SummedColumn {
  column: string;
  by?: string;
}

/** Each column once, however many controls there are on it. */
export function summedColumns(job: Pick<Job, 'controls'>): SummedColumn[] {
  const sums = job.controls.filter((control) => control.type === 'sum' || control.type === 'change');
  return sums
    .filter(({ column }, index) => sums.findIndex((other) => other.column === column) === index)
    .map(({ column, by }) => (by === undefined ? { column } : { column, by }));
}

const columnOf = (job: Job, name: string | undefined): Column | undefined =>
  job.load.columns.find((column) => column.name === name);

/**
 * Path of a column's value in the listing's record: the column's `listed`, or else `from` without its lookup, so that
 * `contract.annualValue` is read as `annualValue`, because a list usually has the same fields as its detail.
 */
function pathInListing(column: Column | undefined): JsonPath | undefined {
  const path = column?.listed ?? column?.from?.slice(1);
  return path?.length ? path : undefined;
}

/** Values of `char(n)` are equal regardless of trailing blanks. */
const isPadded = (column: Column | undefined): boolean =>
  /^(?:char|character|bpchar)\b(?!\s+varying)/i.test(column?.type ?? '');

const asRead = (text: string, column: Column | undefined): string =>
  isPadded(column) ? text.replace(/ +$/, '') : text;

/** Postgres cannot store NUL or an unpaired surrogate. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/**
 * The amounts that the sources sent for a loaded row: as the load has read them, or `sourced`, which was recorded before a
 * transform made the row. For an amount that came as NULL the listing's is taken where the column has `listed`, because an
 * outage that loads as NULL must not look like an amount of nothing.
 */
export function amountsOfLoaded(
  job: Job,
  { amounts }: StoredRow,
  { sourced, listed }: { sourced: readonly KnownAmount[] | undefined; listed: Json },
): KnownAmount[] {
  const fromListing = sourcedAmounts(job, { answered: () => null, listed });
  return summedColumns(job).map(({ column }, index) => {
    const before = isIndependent(job, column) ? sourced?.find((one) => one.column === column) : undefined;
    const read = before ?? { column, amount: amounts[index]!.amount, currency: amounts[index]!.by };
    const told = columnOf(job, column)?.listed && fromListing[index]!.amount;
    return read.amount === null && told ? { ...read, amount: told } : read;
  });
}

/**
 * The amounts that the sources sent for a contract: from its answers, else from its listing record. One entry per summed
 * column; null where neither has one.
 */
export function sourcedAmounts(
  job: Job,
  { answered, listed }: { answered: (column: string) => string | null | undefined; listed: Json },
): KnownAmount[] {
  const find = (name: string | undefined): string | null => {
    const column = columnOf(job, name);
    const path = pathInListing(column);
    const text = (name && answered(name)) ?? (path && scalarText(getPath(listed, path)));
    return text !== undefined && isStorable(text) ? asRead(text, column) : null;
  };
  return summedColumns(job).map(({ column, by }) => ({ column, amount: find(column), currency: by ? find(by) : null }));
}

/**
 * Whether a column's amounts are known independently of a transform. Otherwise the transform's result could only be
 * compared with itself.
 */
const isIndependent = (job: Job, name: string): boolean => {
  const column = columnOf(job, name);
  return job.transform === undefined || column?.from !== undefined || column?.listed !== undefined;
};

/** Reduces a listing's record to the top-level fields that templates, columns and amounts use; null when there are none. */
export function listedFieldKeeper(job: Job): (record: Json) => Json {
  const fields = new Set<string | number>();
  const use = (path: JsonPath | undefined): void => void (path?.[0] !== undefined && fields.add(path[0]));
  for (const { column, by } of summedColumns(job))
    for (const name of [column, by]) use(pathInListing(columnOf(job, name)));
  for (const { from } of job.load.columns) if (from?.[0] === 'listed') use(from.slice(1));
  for (const { path, query } of job.lookups)
    for (const template of [path, ...Object.values(query)])
      for (const found of templatePaths(template)) if (found[0] === 'listed') use(found.slice(1));
  return (record) => {
    if (job.transform) return record;
    if (record === null || typeof record !== 'object' || fields.size === 0) return null;
    const kept = [...fields].filter((name) => Object.hasOwn(record, name));
    return Object.fromEntries(kept.map((name) => [name, (record as Record<string | number, Json>)[name]!]));
  };
}

/** The sums as the report's SQL needs them, with the paths of their columns within the stored listing records. */
export function sumDefinitions(job: Job): SumDefinition[] {
  const path = (name: string | undefined): string[] | null => pathInListing(columnOf(job, name))?.map(String) ?? null;
  return summedColumns(job).map(({ column, by }) => ({
    column,
    by: by ?? null,
    listedPath: path(column),
    listedByPath: path(by),
    byIsPadded: isPadded(columnOf(job, by)),
    independent: isIndependent(job, column),
  }));
}

/** The summed columns whose amounts are known independently of the job's transform; none without a transform. */
export const independentSums = (job: Job): string[] =>
  job.transform ? summedColumns(job).flatMap(({ column }) => (isIndependent(job, column) ? [column] : [])) : [];
