import { StopReason } from '../jobs/run/stop-reason.ts';
import type { StopSignalName, Terminal } from './terminal.ts';

export interface StopSignals extends Disposable {
  /** The first signal: admit nothing more, finish what is in flight. */
  stopping: AbortSignal;
  /** The second signal, or the end of the grace period: end at once. */
  signal: AbortSignal;
  /** Milliseconds that what is in flight still has after the first signal; undefined before that. */
  graceLeft(): number | undefined;
  /** From now on something is in flight that the first signal lets end; before, it ends everything at once. */
  underWay(note: (line: string) => void): void;
}

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignalName, number>;
type Name = StopSignalName;

/** What ends at once has so many milliseconds to roll back, to write the report and to give up the lease. */
const farewellMs = 10_000;

/**
 * Turns SIGINT and SIGTERM into an orderly stop, for as long as it is held. Whatever hangs then, the process does not:
 * a third signal, or the end of the farewell, ends it as it stands, and the next run takes over from it as from a dead one.
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
    timer = setTimeout(() => leave(name), farewellMs).unref();
  };
  const leave = (name: Name): void => {
    note(`${name}: ended without a word; the next run takes over`);
    exit(exitCodes[name]);
  };
  const onSignal = (name: Name): void => {
    if (ending.signal.aborted) return leave(name);
    const first = !stopping.signal.aborted;
    if (first) stopping.abort(reasonOf(name));
    if (!first || !isUnderWay) return end(name);
    note(`${name}: finishing what is in flight; once more ends it at once`);
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
