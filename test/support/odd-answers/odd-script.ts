import type { RawRequest } from '../raw-server.ts';
import { allOddAnswers } from './all.ts';
import { answerBytes, type OddAnswer, type OddExchange } from './odd-answer.ts';

/** Contracts of a night; on three pages where the listing is not what is answered oddly. */
export const contracts = 300;

/** What is answered oddly, by the names of the answers: functions do not travel between threads. */
export type Use =
  /** The lookups of these contracts, by number, always. */
  | { what: 'contracts'; odd: readonly (readonly [answer: string, contract: number])[] }
  /** The pages of the listing after the first, one answer each; `once`: and then as it should be. */
  | { what: 'listing'; odd: readonly string[]; once?: boolean }
  /** The token server; `once`: at one renewal each, and then as it should be; otherwise from the start. */
  | { what: 'token'; odd: readonly string[]; once?: boolean };

export const keyOf = (number: number): string => `k${String(number).padStart(3, '0')}`;
const recordOf = (number: number): object => ({ id: keyOf(number), name: 'odd', currency: 'EUR', amount: 12.25 });

const byName = new Map(allOddAnswers.map((odd) => [odd.answer, odd]));

/** The odd answer of that name. */
export function oddAnswer(name: string): OddAnswer {
  const found = byName.get(name);
  if (!found) throw new Error(`no odd answer is called ${name}`);
  return found;
}

/** The page's number; 0 for what is none. */
const pageOf = (url: string): number => (url === '/contracts' ? 1 : Number(/after=p(\d+)/.exec(url)?.[1] ?? 0));

/** What a night's server answers to each request. */
export class OddScript {
  readonly #use: Use;
  readonly #foreign: string;
  readonly #pages: number;
  /** Requests of each page, and of tokens. */
  readonly #asked = new Map<string, number>();

  constructor(use: Use, foreign: string) {
    this.#use = use;
    this.#foreign = foreign;
    // One good page before each odd answer, and one at the end.
    this.#pages = use.what === 'contracts' ? 3 : use.odd.length + 2;
  }

  answer = (request: Pick<RawRequest, 'url'>, socket: OddExchange['socket']): void | Promise<void> => {
    const { url } = request;
    const earlier = this.#asked.get(url) ?? 0;
    this.#asked.set(url, earlier + 1);
    const odd = this.#oddAnswerTo(url, earlier);
    const good = this.#goodAnswerTo(url);
    if (!odd) return void socket.write(answerBytes(200, { body: good, reason: 'OK' }));
    return odd.send({ socket, good, foreign: this.#foreign });
  };

  #oddAnswerTo(url: string, earlier: number): OddAnswer | undefined {
    const use = this.#use;
    const named = (name: string | undefined): OddAnswer | undefined =>
      name === undefined ? undefined : oddAnswer(name);
    if (use.what === 'contracts') {
      const asked = /^\/contracts\/k(\d+)$/.exec(url)?.[1];
      return asked === undefined ? undefined : named(use.odd.find(([, number]) => number === Number(asked))?.[0]);
    }
    if (use.what === 'listing') return use.once && earlier > 0 ? undefined : named(use.odd[pageOf(url) - 2]);
    if (url !== '/token') return undefined;
    // Renewals are good and odd in turn.
    return use.once ? (earlier % 2 === 1 ? named(use.odd[(earlier - 1) / 2]) : undefined) : named(use.odd[0]);
  }

  #goodAnswerTo(url: string): string {
    if (url === '/token') {
      const tokens = this.#asked.get(url)!;
      // A token that is to be renewed ends at once.
      const lasts = this.#use.what === 'token' && this.#use.once && tokens < 2 * this.#use.odd.length;
      return JSON.stringify({ access_token: `t${tokens}`, token_type: 'Bearer', expires_in: lasts ? 0.001 : 3_600 });
    }
    const page = pageOf(url);
    if (page === 0) return JSON.stringify(recordOf(Number(url.slice('/contracts/k'.length))));
    const first = Math.floor(((page - 1) * contracts) / this.#pages);
    const last = Math.floor((page * contracts) / this.#pages);
    const data = Array.from({ length: last - first }, (_, index) => recordOf(first + index + 1));
    return JSON.stringify({ data, next: page < this.#pages ? `p${page + 1}` : null });
  }
}
