import { isExactNumber, numberText, type Json } from '../sources/exact-json.ts';
import { getPath, type JsonPath } from '../sources/json-path.ts';
import { templatePaths } from '../sources/template.ts';
import type { Column, Job } from './job.ts';

/** A column that a control sums, and the column its sums are split by. */
export interface SummedColumn {
  column: string;
  by?: string;
}

/** An amount of one contract, in the digits of its source. */
export interface KnownAmount {
  column: string;
  amount: string;
  currency: string | null;
}

export function summedColumns(job: Job): SummedColumn[] {
  return job.controls
    .filter((control) => control.type === 'sum')
    .map(({ column, by }) => (by === undefined ? { column } : { column, by }));
}

/**
 * Where a column's value would stand in the listing's record. A list usually shows the fields its detail shows, so
 * `contract.annualValue` is looked for as `annualValue`: the only word there is about a contract that was never fetched.
 */
function pathInListing(column: Column | undefined): JsonPath | undefined {
  const path = column?.from?.slice(1);
  return path?.length ? path : undefined;
}

/**
 * What is known of the money of a contract that is not loaded: from the answers it did get, else from its listing record.
 * Of a loaded contract only what was loaded counts, for its amounts must tie out to the target.
 */
export function amountsKnownOfFailed(
  job: Job,
  textOf: (column: string) => string | null | undefined,
  listed: Json,
): KnownAmount[] {
  const fetched = knownAmounts(job, textOf);
  const others = amountsFromListing(job, listed).filter(
    ({ column }) => !fetched.some((known) => known.column === column),
  );
  return [...fetched, ...others];
}

/** What the listing's record says of the summed columns. */
function amountsFromListing(job: Job, listed: Json): KnownAmount[] {
  const find = (name: string | undefined): string | undefined => {
    const path = pathInListing(job.load.columns.find((column) => column.name === name));
    return path && scalarText(getPath(listed, path));
  };
  return knownAmounts(job, find);
}

/** The amounts among a row's texts; those that are no decimal number are not known. */
export function knownAmounts(job: Job, textOf: (column: string) => string | null | undefined): KnownAmount[] {
  return summedColumns(job).flatMap(({ column, by }) => {
    const amount = textOf(column);
    if (!amount || !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?$/i.test(amount)) return [];
    const currency = by === undefined ? null : (textOf(by) ?? null);
    const isStorable = currency === null || (currency.isWellFormed() && !currency.includes('\0'));
    return [{ column, amount, currency: isStorable ? currency : null }];
  });
}

function scalarText(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : isExactNumber(value) ? numberText(value) : undefined;
}

/** Keeps of a listing's record the top-level fields that a template, a column or an amount may ask for; null when none. */
export function listedFieldKeeper(job: Job): (record: Json) => Json {
  const fields = new Set<string | number>();
  const use = (path: JsonPath | undefined): void => void (path?.[0] !== undefined && fields.add(path[0]));
  for (const { column, by } of summedColumns(job))
    for (const name of [column, by]) use(pathInListing(job.load.columns.find((candidate) => candidate.name === name)));
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

/** The same for SQL: the paths of summed columns within the stored listing records. */
export function listedAmountPaths(job: Job): {
  column: string;
  by: string | null;
  listedPath: string[] | null;
  listedByPath: string[] | null;
}[] {
  const path = (name: string | undefined): string[] | null =>
    pathInListing(job.load.columns.find((column) => column.name === name))?.map(String) ?? null;
  return summedColumns(job).map(({ column, by }) => ({
    column,
    by: by ?? null,
    listedPath: path(column),
    listedByPath: path(by),
  }));
}
