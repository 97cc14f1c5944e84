import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

// Where the system does not tell, for example under hidepid.
const unknown = 'unknown';

/**
 * When a process was born, in the kernel's own unit; with its id this names a process for good, since ids are used
 * again. Undefined when no such process lives; a process that ended and was not yet reaped does not live.
 */
export async function bornOf(processId: number): Promise<string | undefined> {
  if (!exists(processId)) return undefined;
  if (process.platform !== 'linux') return (await ps('lstart', processId)) ?? unknown;
  const text = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return exists(processId) ? unknown : undefined;
  // The name in parentheses may itself hold spaces and parentheses; state is field 3, start time field 22.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  // Counted from the boot, so the boot belongs to it.
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${fields[19]} of ${boot.trim()}`;
}

/** False only when the process that was born then certainly lives no more. */
export async function mayLive(processId: number, born: string): Promise<boolean> {
  const now = await bornOf(processId);
  return now !== undefined && (now === born || now === unknown || born === unknown);
}

/** How a living process was started, `unknown` where the system does not tell; undefined when no such process lives. */
export async function commandLineOf(processId: number): Promise<string | undefined> {
  if ((await bornOf(processId)) === undefined) return undefined;
  if (process.platform !== 'linux') return (await ps('command', processId)) ?? unknown;
  const text = await readFile(`/proc/${processId}/cmdline`, 'utf8').catch(() => unknown);
  return text.replaceAll('\0', ' ').trim();
}

function exists(processId: number): boolean {
  // Zero and negative numbers mean process groups.
  if (!Number.isInteger(processId) || processId <= 0) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function ps(column: string, processId: number): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  const { stdout } = await run('ps', ['-ww', '-o', `${column}=`, '-p', String(processId)]).catch(() => ({
    stdout: '',
  }));
  return stdout.trim() || undefined;
}
