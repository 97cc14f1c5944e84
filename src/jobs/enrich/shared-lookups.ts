import { LRUCache } from 'lru-cache';
import type { Json } from '../../sources/json/exact-json.ts';
import type { Api, ApiRequest } from '../../sources/api/api.ts';
import { NightfillError } from '../../resilience/failure.ts';

/** Memory for answers that later contracts may share; beyond it the least recently used are dropped, and fetched again. */
const keptBytes = 32 * 2 ** 20;

/** Memory of an entry besides its answer. */
const entryBytes = 256;

/**
 * Makes equal requests to an API once per run: a thousand contracts of ten customers make ten requests.
 * All waiting contracts share a transient failure; it is then dropped, so that a later contract tries again.
 */
export class SharedLookups {
  readonly #answers = new LRUCache<string, Promise<Json>>({ maxSize: keptBytes });

  async ask(api: Api, url: string, o: Omit<ApiRequest, 'url'>): Promise<Json> {
    const key = `${api.name} ${url}`;
    return this.once(key, async () => {
      const { body, bytes } = await api.request({ url, ...o });
      // A parsed answer takes about four times its bytes.
      this.#weigh(key, entryBytes + 4 * bytes);
      return body;
    });
  }

  /** The answer of `ask`, which is called once per key. */
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
