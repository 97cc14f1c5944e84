import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Who is running, so precisely that its death can be certain. */
export interface ProcessIdentity {
  /** Machine, boot and process namespace: equal only where process ids mean the same processes. */
  host: string;
  processId: number;
  /** When the process was born, in the kernel's own unit; tells a reused process id from its first owner. */
  processBorn: string;
}

const read = (get: () => string): string => {
  try {
    return get().trim();
  } catch {
    return '';
  }
};

/** Fields 3 and 22 of /proc/PID/stat, both empty where there is none. */
function statOf(processId: number): { state: string; born: string } {
  const text = read(() => readFileSync(`/proc/${processId}/stat`, 'utf8'));
  // The name in parentheses may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', born: fields[19] ?? '' };
}

export function thisProcess(): ProcessIdentity {
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
  const namespace = read(() => readlinkSync('/proc/self/ns/pid'));
  return {
    host: [hostname(), boot, namespace].filter(Boolean).join(' '),
    processId: process.pid,
    processBorn: statOf(process.pid).born,
  };
}

/** What the process calls its database sessions (`application_name`), so that they can be told from any other's. */
export function sessionName({ host, processId, processBorn }: ProcessIdentity): string {
  const digest = createHash('sha256').update(`${host} ${processId} ${processBorn}`).digest('hex');
  return `nightfill ${processId} ${digest.slice(0, 32)}`;
}

/** True only when `holder` certainly does not run any more: it ran on this host and its process is gone. */
export function isCertainlyDead(holder: ProcessIdentity, self: ProcessIdentity): boolean {
  if (holder.host !== self.host) return false;
  try {
    process.kill(holder.processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const { state, born } = statOf(holder.processId);
  // Ended, and only not yet collected by its parent: a container's first process may never do so.
  if (state === 'Z' || state === 'X') return true;
  return holder.processBorn !== '' && born !== '' && born !== holder.processBorn;
}

/**
 * True only when `holder` certainly runs: on this host, under its process id and birth, and neither stopped (Ctrl-Z, a
 * debugger) nor ended. Linux alone tells births and states; elsewhere nobody is certainly alive.
 */
export function isCertainlyAlive(holder: ProcessIdentity, self: ProcessIdentity): boolean {
  if (holder.host !== self.host || holder.processBorn === '') return false;
  const { state, born } = statOf(holder.processId);
  return born === holder.processBorn && !/^[TtZXx]/.test(state);
}
