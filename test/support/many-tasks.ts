import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { asCompleted } from '../../src/resilience/index.ts';

const tasks = Number(process.argv[2]);

/** A program: prints what so many tasks gave, and the most memory its process had. */
function* numbers(): Generator<number> {
  for (let number = 0; number < tasks; number += 1) yield number;
}

/** Of the whole process, the runtime included. */
function peakBytes(): number {
  // Linux's `maxRSS` begins with the peak of the process that spawned this one.
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

let outcomes = 0;
let sum = 0;
// A task ends in a later turn of the event loop: without a bound all would be started before the first one ends.
for await (const outcome of asCompleted(numbers(), async (number) => turn({ number }), { concurrency: 50 })) {
  outcomes += 1;
  if (outcome.status === 'fulfilled') sum += outcome.value.number;
}
console.log(JSON.stringify({ outcomes, sum, peakBytes: peakBytes() }));
