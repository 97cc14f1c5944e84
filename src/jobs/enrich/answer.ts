import type { KnownAmount } from '../../ledger/amount.ts';
import type { FailureRecord } from '../../ledger/failure.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import type { Row } from '../../sinks/target/copy-upsert.ts';
import type { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import type { Json } from '../../sources/json/exact-json.ts';

/** A lookup's value, and where it came from. `null` is the job file's `onFailure: null`. */
export interface LookupAnswer {
  value: Json;
  from: 'source' | 'last-known' | 'null';
  asOf?: string;
}

/** Answers by lookup name. */
export type Answers = ReadonlyMap<string, LookupAnswer>;

export interface StaleLookup {
  lookup: string;
  asOf: string;
}

/** A contract's outcome before it is loaded. */
export type EnrichedContract = { contract: PlannedContract } & (
  | {
      status: 'mapped';
      row: Row;
      /** The amounts that the sources sent, recorded before a transform made the row; undefined without a transform. */
      sourced: KnownAmount[] | undefined;
      stale: StaleLookup[];
      remember: { lookup: string; value: Json }[];
    }
  | { status: 'failed'; failure: FailureRecord; amounts: KnownAmount[] }
  /** An API that the contract needs rests for longer than the night has. */
  | { status: 'not-started'; rests: ApiRestsError }
);
