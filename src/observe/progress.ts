import type { Log } from './log.ts';
import type { ProgressSnapshot } from './render-progress.ts';

export type { ProgressSnapshot } from './render-progress.ts';

export type ProgressMode = 'display' | 'lines';

export interface ProgressOptions {
  /** Called up to ten times a second. */
  snapshot: () => ProgressSnapshot;
  stream: NodeJS.WriteStream;
  log: Log;
  /** `process.env` by default; NO_COLOR, FORCE_COLOR and TERM decide about colours. */
  environment?: NodeJS.ProcessEnv;
}

export interface Progress {
  /** Shows the last state and restores the terminal. */
  stop(): void;
  /** Writes a line above the display, or to the log. */
  note(line: string): void;
  /** A contract is done. Without these calls fast runs get fewer than a line every 100 contracts. */
  advance(): void;
}

const lookEvery = 100; // ms
const lineEvery = { contracts: 100, ms: 30_000 };

/** `display` where progress can be redrawn in place, otherwise `lines`. */
export function progressMode(stream: { isTTY?: boolean | undefined }, environment: NodeJS.ProcessEnv): ProgressMode {
  const { CI = '', TERM } = environment;
  const automated = CI !== '' && CI !== 'false' && CI !== '0';
  return stream.isTTY && !automated && TERM !== 'dumb' ? 'display' : 'lines';
}

/** Logs a run's progress as lines until stopped. Never keeps the process alive. */
export function startLines({ snapshot, log }: ProgressOptions): Progress {
  let last = { done: 0, elapsedMs: 0 };
  let advanced = 0;
  function line(facts: ProgressSnapshot): void {
    last = facts;
    log.info(progressFacts(facts), 'progress');
  }
  function look(): void {
    const facts = snapshot();
    // A second chance resets failures, so that fewer are done than before.
    if (facts.done < last.done) last = { ...last, done: facts.done };
    const { contracts, ms } = lineEvery;
    if (facts.done - last.done >= contracts || facts.elapsedMs - last.elapsedMs >= ms) line(facts);
  }
  const timer = setInterval(look, lookEvery).unref();
  let stopped = false;
  return {
    note: (text) => log.info(text),
    advance() {
      advanced += 1;
      if (advanced % lineEvery.contracts === 0) look();
    },
    stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      line(snapshot());
    },
  };
}

/** The snapshot as facts of a log line, with rounded numbers. */
function progressFacts({ job, businessDate, apis, ...facts }: ProgressSnapshot): object {
  const { elapsedMs, etaMs, finishByMs } = facts;
  return {
    job,
    businessDate,
    ...facts,
    elapsedMs: Math.round(elapsedMs),
    ...(etaMs !== undefined && { etaMs: Math.round(etaMs) }),
    ...(finishByMs !== undefined && { finishByMs: Math.round(finishByMs) }),
    apis: apis.map((api) => ({ ...api, ratePerSecond: Math.round(api.ratePerSecond * 10) / 10 })),
  };
}
