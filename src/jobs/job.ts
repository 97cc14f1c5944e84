import type { ApiOptions, ContractListing, RequestTemplate } from '../sources/api/api-options.ts';
import type { Json } from '../sources/json/exact-json.ts';
import type { ControlDefinition } from '../report/figures.ts';
import type { JsonPath } from '../sources/json/json-path.ts';
import type { PinnedDatabase } from '../sinks/postgres/choose-database.ts';

export type { Judged, Tolerance } from '../report/figures.ts';
export type { PinnedDatabase } from '../sinks/postgres/choose-database.ts';
export { markColumn } from '../sinks/target/target-table.ts';

/*
 * Glossary
 * job            a named piece of nightly work, described by a job file
 * business date  the day the run is for
 * instance       job + business date; finished once, however many runs that takes
 * run            one execution for an instance
 * plan           the frozen list of an instance's contracts, cut into chunks, stored before they are worked on
 * chunk          the unit of transaction, retry and rerun: up to `chunk.size` contracts, numbered from 1
 * contract       one item: listed by the CRM, enriched by lookups, loaded as one row
 * lookup         one request that enriches a contract
 * outcome        of a contract: enriched, degraded, failed or not-started
 * failure        an outcome kept as data
 * control        a check that two independently obtained figures agree
 */

export interface Lookup extends RequestTemplate {
  name: string;
  /** Names of the lookups whose answers this one's templates use. */
  needs: string[];
  onFailure: 'fail' | 'last-known' | 'null';
  /** Greatest age of a last known value, in milliseconds; Infinity without a limit. */
  maxAge: number;
  /** Set when one request asks for many contracts. */
  batch?: Batch;
}

export interface Batch {
  /** Most ids in one request. */
  size: number;
  /** The query parameter that carries the ids, joined by commas; its template in `query` gives one contract's id. */
  param: string;
  /** Path of the array in the answer; absent when the answer is the array itself. */
  records?: JsonPath;
  /** Path of the id within a record of the answer. */
  key: JsonPath;
}

export interface Column {
  name: string;
  /** A Postgres type as the job file wrote it, for example `numeric(18,2)`. */
  type: string;
  /** Begins with a lookup's name or `listed`; absent when a transform makes the row. */
  from?: JsonPath;
  /** Used when the path finds no value; JSON null is a value. */
  default?: Json;
  /** Path of the same value in the record of the listing. */
  listed?: JsonPath;
}

export interface Load {
  table: { schema: string; name: string };
  key: string[];
  columns: Column[];
  create: boolean;
  missing: 'keep' | 'mark';
  /** Greatest share of the contracts known before that one night may mark as missing. */
  markAtMost: number;
}

export type Control = ControlDefinition;

/** A job file, validated and frozen. Durations in milliseconds, shares between 0 and 1. */
export interface Job {
  name: string;
  timezone: string;
  schedule?: string;
  /** Which of the starts that `nightfill schedule` missed it makes up for. */
  catchUp: 'last' | 'none';
  /** `HH:MM` in the job's time zone. */
  finishBy?: string;
  /** Absent: the database is the one that the command line or the environment names. */
  database?: PinnedDatabase;
  apis: Record<string, ApiOptions>;
  contracts: ContractListing;
  /** In dependency order. */
  lookups: Lookup[];
  load: Load;
  controls: Control[];
  chunk: { size: number };
  commit: 'chunk' | 'run';
  failures: { stopAbove: number };
  /** Absolute path of the module whose default export makes the row. */
  transform?: { module: string; threads: number };
  file: { path: string; sha256: string };
}
