import { LRUCache } from 'lru-cache';
import type { Api, ApiAnswer } from '../sources/api.ts';
import { NightfillError } from '../resilience/failure.ts';

/** Answers kept for contracts that ask the same again; beyond it the longest unused are asked anew. */
const keptBytes = 32 * 2 ** 20;

/**
 * Asks an API once for the same URL within one run: a thousand contracts of ten customers make ten requests.
 * A transient failure is shared by those who wait for it and then forgotten, so that a later contract may try again.
 */
export class SharedLookups {
  readonly #answers = new LRUCache<string, Promise<ApiAnswer>>({ maxSize: keptBytes });

  async ask(api: Api, url: string, o: { signal: AbortSignal; deadline?: number }): Promise<ApiAnswer> {
    const key = `${api.name} ${url}`;
    const known = this.#answers.get(key);
    if (known) return known;
    const asked = api.request({ url, ...o });
    this.#answers.set(key, asked, { size: key.length + 256 });
    try {
      const answer = await asked;
      // A parsed answer takes a few times its bytes.
      this.#answers.set(key, asked, { size: key.length + 256 + 4 * answer.bytes });
      return answer;
    } catch (error) {
      if (!(error instanceof NightfillError && error.class === 'data')) this.#answers.delete(key);
      throw error;
    }
  }
}
