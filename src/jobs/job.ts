import type { ApiOptions, ContractListing, RequestTemplate } from '../sources/api/api-options.ts';
import type { Json } from '../sources/json/exact-json.ts';
import type { ControlDefinition } from '../report/figures.ts';
import type { JsonPath } from '../sources/json/json-path.ts';
import type { PinnedDatabase } from '../sinks/postgres/choose-database.ts';

export type { Judged, Tolerance } from '../report/figures.ts';
export type { PinnedDatabase } from '../sinks/postgres/choose-database.ts';
export { markColumn } from '../sinks/target/target-table.ts';

/*
 * Glossary: one word for one thing, here, in SQL and in docs
 *
 * What is done
 * job            a named piece of nightly work, described by a job file
 * business date  the day the run is for
 * instance       job + business date (+ purpose and generation); finished once, however many runs that takes
 * night          an instance of all contracts; not a sample (`--limit`) and not a dry run
 * run            one execution for an instance; the report's `attempts` are the runs of its instance
 *
 * What it is done to
 * contract       one item: listed by the CRM, enriched by lookups, loaded as one row
 * contract key   names a contract in the listing (`contracts.key`); "key" alone means this one
 * load key       the columns that identify a row of the target (`load.key`), or their values in one row
 * lookup         one request, or one share of a batched request, that enriches a contract
 * plan           the frozen list of an instance's contracts, cut into chunks, stored before they are worked on
 * chunk          the unit of transaction, retry and rerun: up to `chunk.size` contracts, numbered from 1
 * attempt        of a chunk: one transaction that recorded it; of a request: one sending
 * lane           whose turn it is at an API's limits: the listing, a lookup, the token
 * rest           a pause of requests that an API asks for, or that its outage causes
 *
 * What comes of it
 * outcome        of a contract: enriched, degraded (with a last known value), failed or not-started
 * failure        why a contract failed, kept as data
 * staging table  temporary: the rows of one transaction, between COPY and upsert
 * held back      with `commit: run`: rows that are fetched and wait in the ledger (its table `staged`) for the switch
 * switch         the one transaction that loads all rows held back
 * books          an instance's figures, computed from the ledger; the report is made of them
 * tally          a run's own figures as it goes on, for the progress display; never for the report
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
