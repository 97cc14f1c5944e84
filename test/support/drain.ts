import type { RollingWindow } from '../../src/resilience/rolling-window.ts';

/** Takes what is free now and sends it. */
export function drain(window: RollingWindow, { weight = 1, answered = false } = {}): number {
  let count = 0;
  for (let permit = window.tryAcquire(weight); 'sent' in permit; permit = window.tryAcquire(weight)) {
    permit.sent();
    if (answered) permit.answered();
    count += 1;
  }
  return count;
}
