import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { NightfillError } from '../resilience/failure.ts';
import { bornOf, mayLive } from './process-identity.ts';

interface Holder {
  processId: number;
  born: string;
  /** Of this one time of holding: the same process may come again. */
  id: string;
}

const pollMs = 20;

/**
 * Runs `task` while no other process of this machine is inside the same lock. A holder that died does not block:
 * its lock is taken away. Node has no flock(), whose locks the kernel would free. Throws after `timeout` milliseconds.
 */
export async function withLock<T>(file: string, task: () => Promise<T>, { timeout = 180_000 } = {}): Promise<T> {
  await acquire(file, performance.now() + timeout);
  try {
    return await task();
  } finally {
    await rm(file, { force: true });
  }
}

async function acquire(file: string, deadline: number): Promise<void> {
  const self: Holder = { processId: process.pid, born: (await bornOf(process.pid)) ?? '', id: randomUUID() };
  const claim = `${file}.${self.id}`;
  await writeFile(claim, JSON.stringify(self));
  try {
    while (!(await linked(claim, file))) {
      const holder = await holderOf(file);
      if (holder && !(await mayLive(holder.processId, holder.born))) await takeAway(file, holder, deadline);
      else if (performance.now() < deadline) await delay(pollMs);
      else throw lockedTooLong(file, holder);
    }
  } finally {
    await rm(claim, { force: true });
  }
}

/**
 * Only who holds the lock named after the dead holder may take its lock away. Without that, of two processes that
 * both saw the dead holder, the slower would take away the lock that the faster one holds by then.
 */
async function takeAway(file: string, dead: Holder, deadline: number): Promise<void> {
  const inheritance = `${file}.of.${dead.id}`;
  await acquire(inheritance, deadline);
  try {
    if ((await holderOf(file))?.id === dead.id) await rm(file, { force: true });
  } finally {
    await rm(inheritance, { force: true });
  }
}

// A link appears with its content at once; a created file would be empty for a moment, or for ever after a crash.
async function linked(claim: string, file: string): Promise<boolean> {
  try {
    await link(claim, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function holderOf(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Holder);
}

const lockedTooLong = (file: string, holder: Holder | undefined): NightfillError =>
  new NightfillError({
    code: 'LOCK_TIMEOUT',
    class: 'system',
    message: `process ${holder?.processId ?? 'unknown'} has held ${file} for too long; see what it waits for, or end it`,
  });
