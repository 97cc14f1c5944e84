import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Identifies a process so precisely that another process can be certain that it has ended. */
export interface ProcessIdentity {
  /** Machine, boot and process namespace: equal only where process ids mean the same processes. */
  host: string;
  processId: number;
  /** When the process was started, in the kernel's own unit; tells a reused process id from its first owner. */
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

/** The `application_name` of the process's database sessions, which no other process has. */
export function sessionName({ host, processId, processBorn }: ProcessIdentity): string {
  const digest = createHash('sha256').update(`${host} ${processId} ${processBorn}`).digest('hex');
  return `nightfill ${processId} ${digest.slice(0, 32)}`;
}

/** True only when `holder` has certainly ended: it ran on this host and its process is gone. */
export function isCertainlyDead(holder: ProcessIdentity, self: ProcessIdentity): boolean {
  if (holder.host !== self.host) return false;
  try {
    process.kill(holder.processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const { state, born } = statOf(holder.processId);
  // Ended, but not yet reaped by its parent; a container's first process may never do so.
  if (state === 'Z' || state === 'X') return true;
  return holder.processBorn !== '' && born !== '' && born !== holder.processBorn;
}

/**
 * True only when `holder` certainly runs: on this host, with its process id and start time, and neither stopped (Ctrl-Z, a
 * debugger) nor ended. Only Linux tells start times and states; elsewhere no process is certainly alive.
 */
export function isCertainlyAlive(holder: ProcessIdentity, self: ProcessIdentity): boolean {
  if (holder.host !== self.host || holder.processBorn === '') return false;
  const { state, born } = statOf(holder.processId);
  return born === holder.processBorn && !/^[TtZXx]/.test(state);
}
