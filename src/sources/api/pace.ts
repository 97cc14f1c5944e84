import { type AdaptiveLimit, type Level } from '../../resilience/adaptive-limit.ts';
import { LevelEvidence } from '../../resilience/level-evidence.ts';
import type { RollingWindow } from '../../resilience/rolling-window.ts';

/** How much was under way when a request was sent. */
export interface Mark {
  inFlight: Level;
  /** Sent within the shortest rate window; undefined without one. */
  sent: Level | undefined;
}

/** A request, as far as its refusals go. */
export interface Refusable {
  /** What tells it from others. */
  readonly name: string;
  /** How many answers there had been when it was refused last. */
  answersAtRefusal: number | undefined;
  /** How many good answers there had been when it was refused first. */
  goodAtFirstRefusal: number | undefined;
}

/** Answers whose share of refusals is looked at: the last one to two times as many. */
const generation = 50;
/** Above this share refusals are about the pace, whatever was answered well before. */
const manyRefused = 0.1;
/** Milliseconds: who asks for as much does not mean how many requests are in flight or in a window of seconds. */
const quotaLike = 5_000;
/** Fewer answers say nothing about a share. */
const leastAnswers = 20;
/** As many as make a breaker open. */
const allOfThem = 20;
/** The share of its limit below which a rate says nothing any more. */
const slowest = 0.1;
/** Good answers to others after which a request that is refused again and again is so for its own sake. */
const servedWell = 20;

/**
 * Meets a server that says "too many": lowers what the refusal is about, how many requests are in flight or how many are
 * sent in a window, and tells a refusal of our pace, for which nobody is to blame, from one of this very request.
 */
export class Pace {
  readonly #concurrency: AdaptiveLimit;
  readonly #window: RollingWindow | undefined;
  readonly #rate = new LevelEvidence();
  /** In all. */
  #answers = 0;
  #goods = 0;
  /** Different requests that were refused since the last one was served. */
  readonly #inARow = new Set<string>();
  /** Refusals that were about one of the two alone. */
  #byConcurrency = 0;
  #byRate = 0;
  #current = { answers: 0, refused: new Set<string>() };
  #previous = { answers: 0, refused: new Set<string>() };

  constructor({ concurrency, window }: { concurrency: AdaptiveLimit; window: RollingWindow | undefined }) {
    this.#concurrency = concurrency;
    this.#window = window;
  }

  /** A request is being written; its permit has been stamped. To be followed by `ended`. */
  sent(): Mark {
    return {
      inFlight: this.#concurrency.sent(),
      sent: this.#window && this.#rate.mark(this.#window.recentlySent),
    };
  }

  ended(): void {
    this.#concurrency.ended();
  }

  /** It was answered, and not as one too many. */
  answered({ inFlight, sent }: Mark): void {
    this.#count();
    this.#goods += 1;
    if (this.#inARow.size > 0) this.#inARow.clear();
    this.#concurrency.answered(inFlight);
    if (sent && this.#rate.answered(sent) === 'above') this.#window?.takeBackSlowDown();
  }

  /** The requests in flight that it settled at, well below the ceiling; undefined when refusals were not about that. */
  get settled(): number | undefined {
    const isMeant = this.#byConcurrency > this.#byRate;
    return isMeant ? this.#concurrency.settled : undefined;
  }

  /**
   * It was refused as one too many, and asked to wait so many milliseconds. True when that is about our pace, or about all;
   * false when others are served at this pace, so that it is about this request alone.
   */
  refused(mark: Mark, request: Refusable, { wait = 0 }: { wait?: number | undefined } = {}): boolean {
    this.#count(request.name);
    this.#inARow.add(request.name);
    const isAlone = request.answersAtRefusal === this.#answers - 1;
    request.answersAtRefusal = this.#answers;
    request.goodAtFirstRefusal ??= this.#goods;
    const servedSince = this.#goods - request.goodAtFirstRefusal;
    // So long a time is a quota's, and about no level; unless others were served since then.
    if (wait >= quotaLike) return servedSince === 0;
    if (this.refusesAll) return true;
    // With nobody else about it has nothing to wait for.
    if (isAlone) return false;
    if (this.#lower(mark)) return true;
    // Others were served while it was not, or slower it cannot get.
    if (!this.#manyAreRefused() || servedSince >= servedWell || !this.#canBeSlower()) return false;
    this.#concurrency.halve();
    if (mark.sent) this.#rate.lowered(mark.sent.at, { forget: true });
    this.#window?.slowDown();
    return true;
  }

  /** Whoever asks is refused, with nobody served in between, as when a quota is used up without a word. */
  get refusesAll(): boolean {
    return this.#inARow.size >= allOfThem;
  }

  #canBeSlower(): boolean {
    return this.#concurrency.limit > 1 || (this.#window?.slowedDownTo ?? 0) > slowest;
  }

  /** The server said that it is overloaded (503): fewer are in flight when that is about how many there were. */
  overloaded({ inFlight }: Mark): void {
    this.#count();
    this.#concurrency.overloaded(inFlight);
  }

  #lower({ inFlight, sent }: Mark): boolean {
    const byConcurrency = this.#concurrency.refused(inFlight);
    const byRate = sent ? this.#rate.refused(sent) : 'within';
    if (sent && byRate === 'beyond') {
      this.#rate.lowered(sent.at);
      this.#window?.slowDown();
    }
    // Of both at once nobody knows which.
    if (byConcurrency && byRate !== 'beyond') this.#byConcurrency += 1;
    if (!byConcurrency && byRate === 'beyond') this.#byRate += 1;
    return byConcurrency || byRate !== 'within';
  }

  #manyAreRefused(): boolean {
    const answers = this.#current.answers + this.#previous.answers;
    const refused = this.#current.refused.union(this.#previous.refused).size;
    return answers >= leastAnswers && refused > manyRefused * answers;
  }

  #count(refused?: string): void {
    this.#answers += 1;
    if (this.#current.answers === generation) {
      this.#previous = this.#current;
      this.#current = { answers: 0, refused: new Set() };
    }
    this.#current.answers += 1;
    if (refused !== undefined) this.#current.refused.add(refused);
  }
}
