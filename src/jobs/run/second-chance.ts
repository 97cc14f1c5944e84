import { secondChances } from '../../ledger/planned-work.ts';
import type { RunContext } from './run-context.ts';
import type { StopReason } from './stop-reason.ts';
import { workChunks } from './work-chunks.ts';

/** Tries contracts once more that failed in this run for a transient cause, unless their API asks for a longer wait. */
export async function secondChance(context: RunContext): Promise<void> {
  const { ledger, log, lookups, stop, progress } = context;
  const chances = await ledger.read(async (database) => secondChances(database, ledger));
  if (chances.length === 0) return;
  const contracts = chances.reduce((sum, { failed }) => sum + failed, 0);
  log.info({ contracts }, 'second chance for contracts that failed for a transient cause');
  progress.tally.phase = 'second-chance';
  progress.tally.failed -= contracts;
  progress.tally.begun -= contracts;
  lookups.askOnce();
  let refusal: StopReason | undefined;
  await workChunks(
    context,
    chances.map(({ chunk }) => chunk),
    {
      selection: { secondChanceOf: ledger.run },
      onStop: (reason) => {
        // Every contract was tried by now, so this does not stop the run; a rerun can fetch what stays failed.
        if (reason.code === 'DEADLINE' || reason.code === 'API_RESTS') refusal ??= reason;
        else stop.request(reason);
      },
    },
  );
  if (refusal) log.warn({ reason: refusal.message }, 'the remaining contracts get no second chance');
}
