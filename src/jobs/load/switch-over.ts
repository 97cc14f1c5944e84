import type { ClientForCopy } from '../../sinks/postgres/postgres.ts';
import { copyUpsert } from '../../sinks/target/copy-upsert.ts';
import { isHoldingBack } from '../../ledger/held-back.ts';
import { lockInstance } from '../../ledger/instance.ts';
import { rememberRows } from '../../ledger/loaded-row.ts';
import {
  completeSwitchedChunk,
  dropHeldBackRows,
  failRefusedRows,
  heldBackChunks,
  heldBackRows,
  readSwitchState,
  type HeldBackChunk,
  type SwitchedChunk,
  type SwitchState,
} from '../../ledger/switch.ts';
import { claimRows } from '../../ledger/target-row.ts';
import type { RunContext } from '../run/run-context.ts';
import { independentSums, summedColumns } from './amounts.ts';
import { rejectedRow } from './failure-record.ts';

type SwitchContext = Pick<RunContext, 'job' | 'target' | 'clock' | 'ledger' | 'progress' | 'stop'>;

/**
 * `commit: run`: loads all rows held back into the target in one transaction, so that readers see the old night or the
 * new one. When too many contracts failed or never started, gives that as a sentence, and the rows stay held back.
 */
export async function switchOver(context: SwitchContext): Promise<string | undefined> {
  const { ledger, job, clock, progress } = context;
  const { instance } = ledger;
  if (!(await ledger.read(async (database) => isHoldingBack(database, instance)))) return undefined;
  const state = await ledger.read(async (database) => readSwitchState(database, instance));
  const obstacle = switchObstacle(job, state);
  if (obstacle) return obstacle;
  return ledger.commit(
    async (client) => {
      // An attempt whose answer to COMMIT was lost holds this lock until it ends; if it committed, nothing is held back now.
      await lockInstance(client, instance);
      return (await isHoldingBack(client, instance)) ? switchWithin(client, context) : undefined;
    },
    {
      around: async (attempt) => {
        const begun = clock.now();
        try {
          return await progress.metrics.measure('switch', attempt);
        } finally {
          progress.tally.loadMs += clock.now() - begun;
        }
      },
    },
  );
}

async function switchWithin(client: ClientForCopy, context: SwitchContext): Promise<string | undefined> {
  const { job, ledger } = context;
  const { instance } = ledger;
  await client.query('SAVEPOINT night');
  const switched: SwitchedChunk[] = [];
  for (const chunk of await heldBackChunks(client, instance))
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    switched.push(await switchChunk(client, chunk, context));
  const refused = switched.filter((chunk) => chunk.refused.length > 0);
  const failRefused = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    for (const chunk of refused) await failRefusedRows(client, chunk, ledger);
  };
  await failRefused();
  // Checked also when no row was refused: an earlier attempt may have recorded refusals before the answer to its COMMIT was lost.
  const obstacle = switchObstacle(job, await readSwitchState(client, instance));
  if (obstacle) {
    await client.query('ROLLBACK TO SAVEPOINT night');
    await failRefused();
    return obstacle;
  }
  for (const chunk of switched)
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    await completeSwitchedChunk(client, chunk, { instance, independentSums: independentSums(job) });
  await dropHeldBackRows(client, instance);
  return undefined;
}

/** Why the night may not switch; the completeness control says how many failed contracts are tolerated. */
function switchObstacle(job: RunContext['job'], state: SwitchState): string | undefined {
  // The rows were held back before the job file was changed to `commit: chunk`.
  if (job.commit === 'chunk') return undefined;
  const { planned, listed, failed, notStarted } = state;
  const share = job.controls.find((control) => control.type === 'completeness')?.atLeast ?? 1;
  const needed = Math.ceil(listed * share - 1e-9);
  const unchanged = `commit: run keeps ${job.load.table.schema}.${job.load.table.name} unchanged`;
  if (!planned) return `${unchanged}: the listing is not finished`;
  if (notStarted > 0) return `${unchanged}: ${notStarted} of ${listed} contracts were not started`;
  if (listed - failed >= needed) return undefined;
  const tolerated = share === 1 ? '' : `, and completeness asks for ${needed}`;
  return `${unchanged}: ${failed} of ${listed} contracts failed${tolerated}; a rerun fetches them again, then switches`;
}

async function switchChunk(
  client: ClientForCopy,
  chunk: HeldBackChunk,
  { job, target, stop, ledger: { instance } }: SwitchContext,
): Promise<SwitchedChunk> {
  const rows = await heldBackRows(client, { instance, chunk: chunk.number });
  const keyOf = (row: number): string => rows[row]!.key;
  const {
    stored: _,
    rejected,
    ...result
  } = await copyUpsert(
    client,
    target,
    rows.map(({ cells }) => cells),
    {
      sums: summedColumns(job),
      signal: stop.signal,
      nameOf: (row) => `contract ${keyOf(row)}`,
      claim: async (stored) => claimRows(client, { instance, chunk: chunk.number, keyOf }, stored),
    },
  );
  const refused = new Set(rejected.map(({ row }) => row));
  const loaded = rows.filter((__, row) => !refused.has(row));
  if (target.marked) {
    const remembered = loaded.map(({ key, cells }) => ({ contract: { key }, row: cells }));
    await rememberRows(client, { job: job.name, instance, target, loaded: remembered });
  }
  return {
    ...chunk,
    result,
    keys: loaded.map(({ key }) => key),
    refused: rejected.map((rejection) => ({
      contract: { key: keyOf(rejection.row) },
      attempt: rows[rejection.row]!.attempt,
      failure: rejectedRow(rejection),
    })),
  };
}
