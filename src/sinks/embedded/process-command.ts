import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

// Where the system hides it, for example under hidepid.
const unknown = 'unknown';

/** The command line of a running process, `unknown` where the system hides it; undefined when there is no such process. */
export async function commandLineOf(processId: number): Promise<string | undefined> {
  if (!exists(processId)) return undefined;
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
