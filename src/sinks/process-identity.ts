import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * When a process was born, in the kernel's own unit; with its id this names a process for good, since ids are used
 * again. Undefined when no such process lives; a process that ended and was not yet reaped does not live.
 */
export async function bornOf(processId: number): Promise<string | undefined> {
  if (!exists(processId)) return undefined;
  if (process.platform !== 'linux') return (await ps('lstart', processId)) ?? 'unknown';
  const text = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => '');
  // The name in parentheses may itself hold spaces and parentheses; state is field 3, start time field 22.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** How a living process was started; undefined when no such process lives. Empty where the system does not tell. */
export async function commandLineOf(processId: number): Promise<string | undefined> {
  if (!exists(processId)) return undefined;
  if (process.platform !== 'linux') return (await ps('command', processId)) ?? '';
  const text = await readFile(`/proc/${processId}/cmdline`, 'utf8').catch(() => undefined);
  return text?.replaceAll('\0', ' ').trim();
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
