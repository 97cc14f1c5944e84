import type { FailureClass } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { storableText } from './storable-text.ts';

export type FailureStage = 'list' | 'lookup' | 'map' | 'load';
export type AdviceAction = 'retry-now' | 'retry-after' | 'fix-config' | 'fix-record';

/** A failure kept as data: why a contract is not loaded, and how to correct it. */
export interface FailureRecord {
  stage: FailureStage;
  api: string | null;
  lookup: string | null;
  code: string;
  class: FailureClass;
  httpStatus: number | null;
  message: string;
  attempts: number;
  advice: AdviceAction;
  /** RFC 3339, for `retry-after`. */
  adviceAfter: string | null;
}

/** A contract, and how it failed. */
export interface FailedContract {
  contract: { key: string; failedBefore?: { attempts: number } };
  failure: FailureRecord;
}

export async function storeFailures(
  client: Queryable,
  { number, failed }: { number: number; failed: readonly FailedContract[] },
  { instance, run }: { instance: string; run: string },
): Promise<void> {
  const of = <T>(get: (failure: FailureRecord) => T): T[] => failed.map(({ failure }) => get(failure));
  await client.query(
    `INSERT INTO nightfill.failure (instance, chunk, run, key, stage, api, lookup, code, class, http_status, message,
       attempts, advice, advice_after)
     SELECT $1, $2, $3, * FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
       $10::integer[], $11::text[], $12::integer[], $13::text[], $14::timestamptz[])`,
    [
      instance,
      number,
      run,
      failed.map(({ contract }) => contract.key),
      of(({ stage }) => stage),
      of(({ api }) => api),
      of(({ lookup }) => lookup),
      of(({ code }) => code),
      of((failure) => failure.class),
      of(({ httpStatus }) => httpStatus),
      of(({ message }) => storableText(message)),
      failed.map(attemptsInAll),
      of(({ advice }) => advice),
      of(({ adviceAfter }) => adviceAfter),
    ],
  );
}

/** Attempts including those of the earlier failure, whose row this one replaces. A record that is unusable as listed is not requested. */
const attemptsInAll = ({ contract, failure }: FailedContract): number =>
  failure.attempts + (failure.stage === 'list' ? 0 : (contract.failedBefore?.attempts ?? 0));
