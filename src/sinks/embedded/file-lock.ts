import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

/** SQLITE_BUSY: another process holds the lock. */
const busy = 5;

/**
 * A file lock that the kernel releases when its holder dies, however it dies. Node has none but SQLite's, which works on
 * Linux, macOS and Windows, and between containers that share a folder. Rejected: proper-lockfile and a file with the
 * owner's process id, because a lock by age or by id is taken over with a race, and an id means nothing in another container.
 */
export class FileLock implements Disposable {
  readonly #file: DatabaseSync;

  private constructor(file: DatabaseSync) {
    this.#file = file;
  }

  /** The exclusive lock; undefined while any other lock is held. */
  static tryExclusive(path: string): FileLock | undefined {
    return FileLock.#try(path, 'BEGIN EXCLUSIVE');
  }

  /** A shared lock; undefined while an exclusive lock is held. */
  static tryShared(path: string): FileLock | undefined {
    return FileLock.#try(path, 'BEGIN; SELECT count(*) FROM sqlite_schema');
  }

  static #try(path: string, statement: string): FileLock | undefined {
    const file = new DatabaseSync(path, { timeout: 0 });
    try {
      file.exec(statement);
      return new FileLock(file);
    } catch (error) {
      file.close();
      if ((error as { errcode?: number }).errcode === busy) return undefined;
      throw error;
    }
  }

  /** Repeats `attempt` until it gives a lock; calls `onWait` once, after two seconds. */
  static async wait(attempt: () => FileLock | undefined, onWait: () => void = () => {}): Promise<FileLock> {
    for (let tries = 1; ; tries++) {
      const lock = attempt();
      if (lock) return lock;
      if (tries === 40) onWait();
      // oxlint-disable-next-line no-await-in-loop -- polls, because SQLite's lock cannot be awaited
      await delay(50);
    }
  }

  [Symbol.dispose](): void {
    if (this.#file.isOpen) this.#file.close();
  }
}
