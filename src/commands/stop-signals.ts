import { StopReason } from '../jobs/stop-reason.ts';

export interface StopSignals extends Disposable {
  /** The first signal: admit nothing more, finish what is in flight. */
  stopping: AbortSignal;
  /** The second signal, or the end of the grace period: end at once. */
  signal: AbortSignal;
}

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** Turns SIGINT and SIGTERM into an orderly stop, for as long as it is held. */
export function stopSignals({ graceMs, note }: { graceMs: number; note: (line: string) => void }): StopSignals {
  const stopping = new AbortController();
  const ending = new AbortController();
  let grace: NodeJS.Timeout | undefined;
  const onSignal = (name: keyof typeof exitCodes): void => {
    const reason = new StopReason('SIGNAL', `stopped by ${name}`, { exitCode: exitCodes[name] });
    if (stopping.signal.aborted) return ending.abort(reason);
    note(`${name}: finishing what is in flight; once more ends it at once`);
    stopping.abort(reason);
    grace = setTimeout(() => ending.abort(reason), graceMs);
  };
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  for (const name of names) process.on(name, onSignal);
  return {
    stopping: stopping.signal,
    signal: ending.signal,
    [Symbol.dispose]() {
      clearTimeout(grace);
      for (const name of names) process.off(name, onSignal);
    },
  };
}
