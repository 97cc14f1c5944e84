import { LRUCache } from 'lru-cache';
import type { Json } from '../../sources/json/exact-json.ts';
import type { Api, ApiRequest } from '../../sources/api/api.ts';
import { NightfillError } from '../../resilience/failure.ts';

/** Answers kept for contracts that ask the same again; beyond it the longest unused are asked anew. */
const keptBytes = 32 * 2 ** 20;

/** What an entry costs beyond its answer. */
const entryBytes = 256;

/**
 * Asks an API once for the same within one run: a thousand contracts of ten customers make ten requests.
 * A transient failure is shared by those who wait for it and then forgotten, so that a later contract may try again.
 */
export class SharedLookups {
  readonly #answers = new LRUCache<string, Promise<Json>>({ maxSize: keptBytes });

  async ask(api: Api, url: string, o: Omit<ApiRequest, 'url'>): Promise<Json> {
    const key = `${api.name} ${url}`;
    return this.once(key, async () => {
      const { body, bytes } = await api.request({ url, ...o });
      // A parsed answer takes a few times its bytes.
      this.#weigh(key, entryBytes + 4 * bytes);
      return body;
    });
  }

  /** What `ask` gives, asked once per key. */
  async once(key: string, ask: () => Promise<Json>): Promise<Json> {
    const known = this.#answers.get(key);
    if (known) return known;
    const asked = ask();
    this.#answers.set(key, asked, { size: key.length + entryBytes });
    try {
      return await asked;
    } catch (error) {
      if (!(error instanceof NightfillError && error.class === 'data')) this.#answers.delete(key);
      throw error;
    }
  }

  #weigh(key: string, size: number): void {
    const answer = this.#answers.peek(key);
    if (answer) this.#answers.set(key, answer, { size: key.length + size });
  }
}
