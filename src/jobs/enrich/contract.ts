import type { KnownAmount } from '../../ledger/amount.ts';
import { isNamelessKey } from '../../ledger/listed-record.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import { NightfillError } from '../../resilience/failure.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { Job } from '../job.ts';
import { sourcedAmounts } from '../load/amounts.ts';
import { failureRecord } from '../load/failure-record.ts';
import type { Answers, EnrichedContract } from './answer.ts';
import type { Lookups } from './lookups.ts';
import { mapRow } from './map-row.ts';

/** What enriching one contract needs. */
export interface EnrichContext {
  job: Job;
  target: Pick<TargetTable, 'columns'>;
  lookups: Lookups;
}

/** Runs a contract's lookups and maps its row. A failure is returned, not thrown. */
export async function enrichContract(contract: PlannedContract, context: EnrichContext): Promise<EnrichedContract> {
  const { lookups } = context;
  const none: Answers = new Map();
  const fail = (error: unknown, o: { stage: 'list' | 'map'; answers: Answers }): EnrichedContract => ({
    contract,
    status: 'failed',
    failure: failureRecord(error, { stage: o.stage }),
    amounts: amountsOf(contract, o.answers, context),
  });
  if (contract.problem !== null) {
    const code = isNamelessKey(contract.key) ? 'CONTRACT_KEY_MISSING' : 'LISTED_RECORD_UNUSABLE';
    const error = new NightfillError({ code, class: 'data', message: contract.problem });
    return fail(error, { stage: 'list', answers: none });
  }
  const { answers, failure, rests } = await lookups.ask(contract);
  if (rests && (!failure || failure.class === 'transient')) return { contract, status: 'not-started', rests };
  if (failure) return { contract, status: 'failed', failure, amounts: amountsOf(contract, answers, context) };

  const made = await lookups.transform(contract, answers);
  if (made instanceof NightfillError) return fail(made, { stage: 'map', answers });
  const mapped = mapRow(contract, answers, context, made);
  if (mapped.problem) return fail(mapped.problem, { stage: 'map', answers });
  return {
    contract,
    status: 'mapped',
    row: mapped.row,
    sourced: made && amountsOf(contract, answers, context),
    ...keptOf(answers, context.job),
  };
}

/** The lookups that were served from a last known value, and the answers to store as one. */
function keptOf(
  answers: Answers,
  { lookups }: Job,
): Pick<Extract<EnrichedContract, { status: 'mapped' }>, 'stale' | 'remember'> {
  const stale = [...answers].flatMap(([lookup, { asOf }]) => (asOf === undefined ? [] : [{ lookup, asOf }]));
  const remember = lookups.flatMap(({ name, onFailure }) => {
    const answer = answers.get(name)!;
    return onFailure === 'last-known' && answer.from === 'source' ? [{ lookup: name, value: answer.value }] : [];
  });
  return { stale, remember };
}

/** The amounts that the sources sent for a contract, before any transform. */
function amountsOf(contract: PlannedContract, answers: Answers, context: EnrichContext): KnownAmount[] {
  const { texts } = mapRow(contract, answers, context);
  return sourcedAmounts(context.job, { answered: (column) => texts.get(column), listed: contract.listed });
}
