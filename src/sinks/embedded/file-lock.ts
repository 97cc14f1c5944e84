import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

/** SQLITE_BUSY: another holder is in the way. */
const busy = 5;

/**
 * A lock on a file that its holder's death releases, however it died: the kernel does. Node offers no such lock but
 * SQLite's, which works alike on Linux, macOS and Windows, and between containers that share a folder. Rejected: a file
 * with the owner's process id, which means nothing in another container and cannot be taken over without a race.
 */
export class FileLock implements Disposable {
  readonly #file: DatabaseSync;

  private constructor(file: DatabaseSync) {
    this.#file = file;
  }

  /** Holds the file alone, or gives nothing while anybody else holds it. */
  static tryExclusive(path: string): FileLock | undefined {
    return FileLock.#try(path, 'BEGIN EXCLUSIVE');
  }

  /** Holds the file together with others who hold it shared, or gives nothing while somebody holds it alone. */
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

  /** Repeats `attempt` until it gives a lock; `onWait` is told once, after two seconds. */
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
