import { StopReason } from '../jobs/run/stop-reason.ts';
import type { StopSignalName, Terminal } from './terminal.ts';

export interface StopSignals extends Disposable {
  /** The first signal: start nothing more, finish what is in flight. */
  stopping: AbortSignal;
  /** The second signal, or the end of the grace period: end at once. */
  signal: AbortSignal;
  /** Milliseconds left for what is in flight after the first signal; undefined before it. */
  graceLeft(): number | undefined;
  /** From now on the first signal lets work in flight finish; before, it ends everything at once. */
  underWay(note: (line: string) => void): void;
}

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignalName, number>;
type Name = StopSignalName;

/** Milliseconds, when ending at once, to roll back, write the report and release the lease. */
const cleanupMs = 10_000;

/**
 * Turns SIGINT and SIGTERM into an orderly stop until disposed. The process ends even if something hangs: a third signal, or
 * the end of the cleanup time, exits immediately, and the next run takes over as after a crash.
 */
export function stopSignals(
  { signals, exit }: Pick<Terminal, 'signals' | 'exit'>,
  o: { graceMs: number; note: (line: string) => void },
): StopSignals {
  const stopping = new AbortController();
  const ending = new AbortController();
  let { note } = o;
  let isUnderWay = false;
  let timer: NodeJS.Timeout | undefined;
  let graceEnds: number | undefined;
  const reasonOf = (name: Name): StopReason =>
    new StopReason('SIGNAL', `stopped by ${name}`, { exitCode: exitCodes[name] });
  const end = (name: Name): void => {
    clearTimeout(timer);
    ending.abort(reasonOf(name));
    timer = setTimeout(() => leave(name), cleanupMs).unref();
  };
  const leave = (name: Name): void => {
    note(`${name}: ended without cleanup; the next run takes over`);
    exit(exitCodes[name]);
  };
  const onSignal = (name: Name): void => {
    if (ending.signal.aborted) return leave(name);
    const first = !stopping.signal.aborted;
    if (first) stopping.abort(reasonOf(name));
    if (!first || !isUnderWay) return end(name);
    note(`${name}: finishing what is in flight; a second signal ends the run at once`);
    timer = setTimeout(() => end(name), o.graceMs);
    graceEnds = performance.now() + o.graceMs;
  };
  const names = Object.keys(exitCodes) as Name[];
  for (const name of names) signals.on(name, onSignal);
  return {
    stopping: stopping.signal,
    signal: ending.signal,
    graceLeft: () => (graceEnds === undefined ? undefined : Math.max(0, graceEnds - performance.now())),
    underWay(say) {
      isUnderWay = true;
      note = say;
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      for (const name of names) signals.off(name, onSignal);
    },
  };
}
