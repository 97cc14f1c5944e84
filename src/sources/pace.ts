import { type AdaptiveLimit, type Level } from '../resilience/adaptive-limit.ts';
import { LevelEvidence } from '../resilience/level-evidence.ts';
import type { RollingWindow } from '../resilience/rolling-window.ts';

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
/** Fewer answers say nothing about a share. */
const leastAnswers = 20;
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
    this.#concurrency.answered(inFlight);
    if (sent && this.#rate.answered(sent) === 'above') this.#window?.takeBackSlowDown();
  }

  /** The requests in flight that it settled at, well below the ceiling; undefined when refusals were not about that. */
  get settled(): number | undefined {
    return this.#byRate > this.#byConcurrency ? undefined : this.#concurrency.settled;
  }

  /**
   * It was refused as one too many. True when that is about our pace, which is slower
   * now; false when others are served at this pace, so that it is about this request alone.
   */
  refused(mark: Mark, request: Refusable): boolean {
    this.#count(request.name);
    const isAlone = request.answersAtRefusal === this.#answers - 1;
    request.answersAtRefusal = this.#answers;
    // With nobody else about it has nothing to wait for.
    if (isAlone) return false;
    const explained = this.#lower(mark);
    request.goodAtFirstRefusal ??= this.#goods;
    if (explained) return true;
    // Enough others were served while it was not.
    if (!this.#manyAreRefused() || this.#goods - request.goodAtFirstRefusal >= servedWell) return false;
    this.#concurrency.halve();
    if (mark.sent) this.#rate.lowered(mark.sent.at, { forget: true });
    this.#window?.slowDown();
    return true;
  }

  /** The server said that it is overloaded (503): fewer are in flight when that is about how many there were. */
  overloaded({ inFlight }: Mark): void {
    this.#count();
    this.#concurrency.refused(inFlight);
  }

  #lower({ inFlight, sent }: Mark): boolean {
    const byConcurrency = this.#concurrency.refused(inFlight);
    if (!sent) return byConcurrency;
    const byRate = this.#rate.refused(sent);
    if (byRate === 'beyond') {
      this.#rate.lowered(sent.at);
      this.#window?.slowDown();
    }
    if (byConcurrency && byRate === 'within') this.#byConcurrency += 1;
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
