import { countHeldBack } from '../../ledger/held-back.ts';
import { readSwitchPace } from '../../ledger/history/switch-pace.ts';
import { readLastKnown } from '../../ledger/last-known.ts';
import { RunLedger } from '../../ledger/run-ledger.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../resilience/clock.ts';
import { Api } from '../../sources/api/api.ts';
import { restLine } from '../../sources/api/api-rests-error.ts';
import { Admission } from '../admission/admission.ts';
import { admitMoreWhileResting } from '../admission/more-while-resting.ts';
import { pauseWhileDatabaseDown } from '../admission/pause-while-database-down.ts';
import { nextTimeOfDay } from '../business-date.ts';
import { Lookups } from '../enrich/lookups.ts';
import type { Job } from '../job.ts';
import { keepQuotas } from '../shared-quotas.ts';
import type { PreparedRun, RunOptions } from './prepared-run.ts';
import { Progress } from './progress.ts';
import type { RunContext } from './run-context.ts';
import { Stop } from './stop.ts';

/** A started run: its context, and the resources that end with it. */
export interface StartedRun extends AsyncDisposable {
  context: RunContext;
  /** Milliseconds since the start. */
  workMs: () => number;
  /** Description of the database, as the report shows it. */
  database: string;
  /** Call it when fetching has ended, so that a database that is away no longer pauses anything. */
  endFetching: () => void;
}

/** Opens the APIs and makes the context that the parts of the run share. */
export async function start(run: PreparedRun, o: RunOptions): Promise<StartedRun> {
  const { job, lease, target } = run;
  const { id: instance, businessDate } = run.instance;
  const { database, clock, log } = o;
  const dryRun = run.mode === 'dry-run';
  await using stack = new AsyncDisposableStack();
  const stop = new Stop({ stopping: o.stopping, signal: o.signal, lost: lease.lost });
  const { signal } = stop;
  const progress = stack.use(new Progress({ clock, onContract: o.onContract }));
  const names = { job: job.name, instance, run: run.id, token: lease.token };
  const ledger = new RunLedger({ ...names, database, clock, log, signal, databaseWaitMs: o.databaseWaitMs });
  const apis = openApis(job, { clock, log, stack });
  const quotas = stack.use(await keepQuotas({ apis: apis.values(), database, clock, log }));
  const finishBy = o.finishBy ?? deadlineOf(job, clock);
  const admission = new Admission({
    job,
    businessDate,
    finishBy,
    clock,
    apis,
    quotas,
    tally: progress.tally,
    switchOver: job.commit === 'run' && !dryRun && finishBy ? await switchAhead(ledger) : undefined,
  });
  const lookups = new Lookups({
    job,
    businessDate,
    apis,
    bounds: admission.requestBounds(signal),
    metrics: progress.metrics,
    transform: run.transform,
    lastKnown: async (at) => ledger.read(async (client) => readLastKnown(client, at)),
  });
  stack.use(admitMoreWhileResting(admission, apis));
  listen(stack, o.stopping, () => apis.forEach((api) => api.stopWaiting()));
  const fetching = stack.use(new DisposableStack());
  fetching.use(pauseWhileDatabaseDown(admission, { lease, signal, log }));
  // A lost lease ends the run, so close the connections: a statement that waits might never be answered.
  listen(fetching, lease.lost, () => database.cut());
  const begun = clock.now();
  const owned = stack.move();
  return {
    context: { job, businessDate, dryRun, target, log, clock, ledger, lookups, admission, stop, progress },
    workMs: () => clock.now() - begun,
    database: database.description,
    endFetching: () => fetching.dispose(),
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
}

function openApis(
  job: Job,
  { clock, log, stack }: { clock: Clock; log: Log; stack: AsyncDisposableStack },
): ReadonlyMap<string, Api> {
  const open = (options: Job['apis'][string]): Api =>
    new Api(options, {
      clock,
      onRetry: (info) => log.debug(info, 'request is repeated'),
      onRest: (rest) => log.warn(rest, restLine(rest)),
      onLowered: (info) => log.warn(info, 'the API announces a lower limit than the job file; the lower one is kept'),
    });
  return new Map(Object.values(job.apis).map((options) => [options.name, stack.use(open(options))]));
}

function listen(stack: AsyncDisposableStack | DisposableStack, signal: AbortSignal, onAbort: () => void): void {
  signal.addEventListener('abort', onAbort, { once: true });
  stack.defer(() => signal.removeEventListener('abort', onAbort));
}

const deadlineOf = ({ finishBy, timezone }: Job, clock: Clock): Date | null =>
  finishBy === undefined ? null : nextTimeOfDay(finishBy, { timezone, now: new Date(clock.wallNow()) });

/** Rows held back so far, and milliseconds per row in the latest switch; undefined before the first. */
const switchAhead = async (ledger: RunLedger): Promise<{ heldBack: number; msPerRow: number | undefined }> =>
  ledger.read(async (database) => ({
    heldBack: await countHeldBack(database, ledger.instance),
    msPerRow: (await readSwitchPace(database, ledger.job))?.msPerRow,
  }));
