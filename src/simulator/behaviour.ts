import type { Rate } from './arrivals.ts';
import type { Faults } from './faults.ts';

export type Latency = number | { min: number; max: number };

/** What can be changed while the simulator runs. Durations in milliseconds. */
export interface Behaviour {
  faults: Faults;
  /** Undefined: no limit. */
  rate: Rate | undefined;
  latency: Latency;
  /** What `slow` adds to the latency. */
  slowBy: number;
}
