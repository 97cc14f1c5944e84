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

// Field 22 of /proc/PID/stat; the name in parentheses may itself hold spaces and parentheses.
const bornOf = (processId: number): string =>
  read(() => {
    const text = readFileSync(`/proc/${processId}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  });

export function thisProcess(): ProcessIdentity {
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
  const namespace = read(() => readlinkSync('/proc/self/ns/pid'));
  return {
    host: [hostname(), boot, namespace].filter(Boolean).join(' '),
    processId: process.pid,
    processBorn: bornOf(process.pid),
  };
}

/** True only when `holder` certainly does not run any more: it ran on this host and its process is gone. */
export function isCertainlyDead(holder: ProcessIdentity, self: ProcessIdentity): boolean {
  if (holder.host !== self.host) return false;
  try {
    process.kill(holder.processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const born = bornOf(holder.processId);
  return holder.processBorn !== '' && born !== '' && born !== holder.processBorn;
}
