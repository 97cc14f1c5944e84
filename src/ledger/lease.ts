import { randomUUID } from 'node:crypto';
import { NightfillError } from '../resilience/failure.ts';
import type { Clock } from '../resilience/clock.ts';
import { DatabaseGoneError, type ClientForCopy, type Database, type Queryable } from '../sinks/postgres/postgres.ts';
import {
  isCertainlyAlive,
  isCertainlyDead,
  sessionName,
  thisProcess,
  type ProcessIdentity,
} from './process-identity.ts';

/** How long a lease is valid without a heartbeat, and how often it is renewed. */
const leaseSeconds = 30;
const heartbeatMs = 5_000;
/** How long the answer to a heartbeat may take before it counts as missed. */
const answerMs = 10_000;

/** How long giving the lease back may take, in milliseconds. */
const farewellMs = 5_000;

interface HolderName {
  run: string;
  host: string;
  processId: number;
}

const nameOf = ({ run, host, processId }: HolderName): string =>
  `run ${run}, process ${processId} on ${host.split(' ')[0]}`;

/** Another run of this job is at work: exit code 5. `silent`: its process is running, but its lease has expired. */
export class JobRunningError extends NightfillError {
  constructor(job: string, holder: HolderName, { silent }: { silent: boolean }) {
    const advice = silent
      ? `its lease has expired, but its process is still running on this machine, so it is not taken over: wait for it, use --if-running wait, or end process ${holder.processId} if it hangs`
      : 'wait for it, or use --if-running wait';
    super({
      code: 'JOB_RUNNING',
      class: 'transient',
      message: `another run of ${job} is at work (${nameOf(holder)}); ${advice}`,
    });
  }
}

export class LeaseLostError extends NightfillError {
  constructor(job: string) {
    super({
      code: 'LEASE_LOST',
      class: 'system',
      message: `this run lost the lease of ${job} because another run has taken over; this one commits nothing more`,
    });
  }
}

/** The job's lock: a row with a heartbeat and a fencing token. Not a session lock, which PgBouncer would not keep. */
export interface Lease extends AsyncDisposable {
  readonly token: string;
  /** Aborts with LeaseLostError when another run has the lease, with DatabaseGoneError when it cannot be renewed for too long. */
  readonly lost: AbortSignal;
  /** Called with false when a heartbeat is missed, with true when one succeeds. */
  onContact: (reached: boolean) => void;
}

export interface LeaseOptions {
  job: string;
  run: string;
  database: Pick<Database, 'query'>;
  clock: Clock;
  /** Milliseconds without a heartbeat after which the run ends. Until then the token fences its commits. */
  databaseWaitMs: number;
  ifRunning: 'fail' | 'wait';
  signal: AbortSignal;
  /** Called once with the holder that `wait` waits for. */
  onWait?: (holder: string) => void;
}

/** Tokens of the leases that runs of this process hold. */
const heldHere = new Set<string>();

/**
 * Takes the job's lease: at once if its holder is certainly dead, or when it has expired, unless the holder's process is
 * certainly alive. Throws JobRunningError.
 */
export async function takeLease(options: LeaseOptions): Promise<Lease> {
  const token = randomUUID();
  // Before it is in the database, because another run of this process would take it for one that was not given back.
  heldHere.add(token);
  try {
    await takeOrWait(options, token);
  } catch (error) {
    heldHere.delete(token);
    throw error;
  }
  return keepAlive(options, token);
}

async function takeOrWait(
  { job, run, database, clock, ifRunning, signal, onWait }: LeaseOptions,
  token: string,
): Promise<void> {
  const self = thisProcess();
  for (let told = false; ;) {
    // oxlint-disable-next-line no-await-in-loop -- whether the lease was taken decides whether it is tried again
    const attempt = await tryTake({ database, job, run, token, self });
    if (attempt.taken) return;
    // The holder has given the lease back since; try again.
    if (!attempt.holder) continue;
    if (ifRunning === 'fail') throw new JobRunningError(job, attempt.holder, { silent: attempt.holder.expired });
    if (!told) onWait?.(nameOf(attempt.holder));
    told = true;
    // oxlint-disable-next-line no-await-in-loop -- the wait between two attempts
    await clock.sleep(1_000, signal);
  }
}

type Holder = ProcessIdentity & { run: string; token: string; expired: boolean };

async function tryTake(o: {
  database: Queryable;
  job: string;
  run: string;
  token: string;
  self: ProcessIdentity;
}): Promise<{ taken: true } | { taken: false; holder: Holder | undefined }> {
  const before = await holderOf(o);
  if (before && isAtWork(before, o.self)) return { taken: false, holder: before };
  const dead = before && (isCertainlyDead(before, o.self) || isLeftBehind(before, o.self)) ? before.token : null;
  if (before && (dead || before.expired)) await endTransactions(before, o);
  const taken = await o.database.query(
    `INSERT INTO nightfill.lease AS held (job, token, run, host, process_id, process_born, renewed_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, now(), now() + make_interval(secs => ${leaseSeconds}))
     ON CONFLICT (job) DO UPDATE
       SET token = excluded.token, run = excluded.run, host = excluded.host, process_id = excluded.process_id,
           process_born = excluded.process_born, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at
       WHERE held.expires_at < now() OR held.token = $7`,
    [o.job, o.token, o.run, o.self.host, o.self.processId, o.self.processBorn, dead],
  );
  if (taken.rowCount === 1) return { taken: true };
  // Read again, because the first of several simultaneous starts was not there before.
  return { taken: false, holder: await holderOf(o) };
}

/** Whether the holder certainly lives. */
const isAtWork = (holder: Holder, self: ProcessIdentity): boolean =>
  isCertainlyAlive(holder, self) && !isLeftBehind(holder, self);

/** Whether a run of this very process held the lease, has ended, and could not give it back. */
const isLeftBehind = (holder: Holder, self: ProcessIdentity): boolean =>
  holder.processBorn !== '' && sessionName(holder) === sessionName(self) && !heldHere.has(holder.token);

/**
 * Ends the open transactions of a dead holder at a server that has not noticed its death. They would keep their locks, that
 * on the lease's row included, for minutes. Its idle sessions stay open, so that a holder that only seemed dead can learn
 * that it lost the lease. If ending them is not allowed, the locks are waited for.
 */
async function endTransactions(
  holder: Holder,
  { database, self }: { database: Queryable; self: ProcessIdentity },
): Promise<void> {
  const name = sessionName(holder);
  // An earlier run of this process: never end this process's own transactions.
  if (name === sessionName(self)) return;
  await database
    .query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = $1 AND xact_start IS NOT NULL AND usename = current_user
         AND datname = current_database()`,
      [name],
    )
    .catch(() => undefined);
}

async function holderOf({ database, job }: { database: Queryable; job: string }): Promise<Holder | undefined> {
  const { rows } = await database.query<Holder>(
    `SELECT token, run, host, process_id AS "processId", process_born AS "processBorn", expires_at < now() AS expired
     FROM nightfill.lease WHERE job = $1`,
    [job],
  );
  return rows[0];
}

/**
 * Runs a transaction that commits only under the lease. Throws LeaseLostError, and commits nothing, when another run has
 * the lease by then. The lease's row is locked last, because the lock blocks the heartbeat: held from the start, a
 * transaction longer than the lease would lose it.
 */
export async function underLease<T>(
  database: Database,
  { job, token }: { job: string; token: string },
  task: (client: ClientForCopy) => Promise<T>,
): Promise<T> {
  return database.withTransaction(async (client) => {
    const result = await task(client);
    await holdLease(client, { job, token });
    return result;
  });
}

/** Locks the lease's row until the end of the transaction. Throws LeaseLostError. */
async function holdLease(client: Queryable, { job, token }: { job: string; token: string }): Promise<void> {
  const { rowCount } = await client.query(`SELECT FROM nightfill.lease WHERE job = $1 AND token = $2 FOR SHARE`, [
    job,
    token,
  ]);
  if (rowCount !== 1) throw new LeaseLostError(job);
}

function keepAlive({ job, database, clock, databaseWaitMs }: LeaseOptions, token: string): Lease {
  const stop = new AbortController();
  const lost = new AbortController();
  const ended = AbortSignal.any([stop.signal, lost.signal]);
  const everyMs = Math.min(heartbeatMs, databaseWaitMs / 4);
  let missed = 0;
  let why: unknown;
  let renewal: Promise<void> | undefined;
  const renew = async (): Promise<void> => {
    const { rowCount } = await database.query(
      `UPDATE nightfill.lease SET renewed_at = now(), expires_at = now() + make_interval(secs => ${leaseSeconds})
       WHERE job = $1 AND token = $2`,
      [job, token],
      { urgent: true, silenceMs: answerMs },
    );
    missed = 0;
    if (rowCount === 1) lease.onContact(true);
    else lost.abort(new LeaseLostError(job));
  };
  const lease: Lease = {
    token,
    lost: lost.signal,
    onContact: () => undefined,
    async [Symbol.asyncDispose]() {
      stop.abort();
      heldHere.delete(token);
      await beating;
      // A lease that cannot be given back expires by itself, and the run's own result must not be replaced by this error.
      const given = database.query(`DELETE FROM nightfill.lease WHERE job = $1 AND token = $2`, [job, token], {
        urgent: true,
        silenceMs: farewellMs,
      });
      const patience = new AbortController();
      await Promise.race([given, clock.sleep(farewellMs, patience.signal)]).catch(() => undefined);
      patience.abort();
    },
  };
  const beat = async (): Promise<void> => {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one heartbeat after the other
      await clock.sleep(everyMs, ended).catch(() => undefined);
      if (ended.aborted) return;
      // Counted in heartbeats, not in time, so that after a machine's sleep the ledger is asked before giving up.
      missed += 1;
      const waitedMs = missed * everyMs;
      // Until then the database may come back, and the row then says whether the lease is still ours.
      if (waitedMs >= databaseWaitMs) lost.abort(new DatabaseGoneError(asError(why), { waitedMs }));
      if (missed > 1) lease.onContact(false);
      // Not awaited, because a database that never answers would block the heartbeat for ever.
      renewal ??= renew()
        .catch((error: unknown) => {
          why = error;
          if (!ended.aborted) lease.onContact(false);
        })
        .finally(() => (renewal = undefined));
    }
  };
  const beating = beat();
  return lease;
}

const asError = (why: unknown): Error => (why instanceof Error ? why : new Error('Postgres no longer answers'));
