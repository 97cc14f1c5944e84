import type { KnownAmount } from '../../ledger/amount.ts';
import type { ChunkRecord } from '../../ledger/attempt.ts';
import type { FailureRecord } from '../../ledger/failure.ts';
import type { LoadResult } from '../../sinks/target/copy-upsert.ts';
import type { EnrichedContract } from '../enrich/answer.ts';
import type { Job } from '../job.ts';
import { amountsOfLoaded, sourcedAmounts } from './amounts.ts';
import { rejectedRow } from './failure-record.ts';

type Mapped = Extract<EnrichedContract, { status: 'mapped' }>;
type Failed = ChunkRecord['failed'][number];

/** Divides the contracts into loaded and failed; those whose row Postgres refused are failed. */
export function outcomesOf(
  mapped: readonly Mapped[],
  failed: readonly Failed[],
  { result, job }: { result: LoadResult | undefined; job: Job },
): Pick<ChunkRecord, 'loaded' | 'failed'> {
  const rejected = new Map(result?.rejected.map((rejection) => [rejection.row, rejection]));
  const stored = new Map(result?.stored.map((row) => [row.row, row]));
  const loaded: ChunkRecord['loaded'][number][] = [];
  const refused: Failed[] = [];
  mapped.forEach((entry, index) => {
    const rejection = rejected.get(index);
    if (rejection) return refused.push(refusedRow(entry, rejectedRow(rejection), job));
    const { sourced, contract } = entry;
    const amounts = amountsOfLoaded(job, stored.get(index)!, { sourced, listed: contract.listed });
    return loaded.push({ ...entry, ordinal: index, amounts });
  });
  return { loaded, failed: [...failed, ...refused] };
}

/** All contracts as failed, with the same failure. */
export const refusedAll = (mapped: readonly Mapped[], failure: FailureRecord, job: Job): Failed[] =>
  mapped.map((entry) => refusedRow(entry, failure, job));

function refusedRow({ row, sourced, contract }: Mapped, failure: FailureRecord, job: Job): Failed {
  const textOf = (name: string): string | null | undefined =>
    row[job.load.columns.findIndex((column) => column.name === name)];
  const amounts: KnownAmount[] = sourced ?? sourcedAmounts(job, { answered: textOf, listed: contract.listed });
  return { contract, failure, amounts };
}
