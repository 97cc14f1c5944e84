import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { bornOf, mayLive } from './process-identity.ts';

/**
 * The processes that use a server together: one file each. Who died without leaving is forgotten when the others
 * are counted. Callers hold the server's lock.
 */
export class ServerUsers {
  readonly #folder: string;
  readonly #self = `${process.pid}-${randomUUID()}`;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async join(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await writeFile(path.join(this.#folder, this.#self), (await bornOf(process.pid)) ?? '');
  }

  /** How many others remain. */
  async leave(): Promise<number> {
    await rm(path.join(this.#folder, this.#self), { force: true });
    let remaining = 0;
    for (const name of await readdir(this.#folder)) {
      const file = path.join(this.#folder, name);
      const born = await readFile(file, 'utf8');
      if (born !== '' && (await mayLive(Number.parseInt(name, 10), born))) remaining += 1;
      else await rm(file, { force: true });
    }
    return remaining;
  }
}
