import { type AdaptiveLimit, type Level } from '../../resilience/adaptive-limit.ts';
import { LevelEvidence } from '../../resilience/level-evidence.ts';
import type { RollingWindow } from '../../resilience/rolling-window.ts';

/** The levels at which a request was sent. */
export interface SentLevels {
  inFlight: Level;
  /** Sent within the shortest rate window; undefined without one. */
  sent: Level | undefined;
}

/** A request and the history of its refusals. */
interface Refusable {
  /** Identifies the request. */
  readonly name: string;
  /** The number of answers when it was last refused. */
  answersAtRefusal: number | undefined;
  /** The number of good answers when it was first refused. */
  goodAtFirstRefusal: number | undefined;
}

/** Answers per generation; the share of refusals is taken over the current and the previous generation. */
const generation = 50;
/** Above this share, refusals are about the pace, whatever was answered well before. */
const paceRefusalShare = 0.1;
/** Milliseconds: a longer wait means a quota, not the number of requests in flight or in a window of seconds. */
const shortestQuotaWait = 5_000;
/** With fewer answers the share of refusals is not evaluated. */
const leastAnswers = 20;
/** This many refused requests in a row mean that the API refuses all; the same number opens a breaker by default. */
const refusedInARowMeansAll = 20;
/** The rate is not lowered below this share of its limit. */
const leastRateShare = 0.1;
/** After this many good answers to other requests, the refusals of a request are about that request. */
const goodAnswersToOthers = 20;

/**
 * Adapts to a server that answers "too many requests": lowers what the refusal is about, the number of requests in flight
 * or the number sent per window, and distinguishes a refusal of our pace from one of this particular request.
 */
export class Pace {
  readonly #concurrency: AdaptiveLimit;
  readonly #window: RollingWindow | undefined;
  readonly #rate = new LevelEvidence();
  /** Total answers and good answers. */
  #answers = 0;
  #goodAnswers = 0;
  /** Different requests refused since the last good answer. */
  readonly #refusedInARow = new Set<string>();
  /** Number of refusals that were clearly about one of the two. */
  #byConcurrency = 0;
  #byRate = 0;
  #current = { answers: 0, refused: new Set<string>() };
  #previous = { answers: 0, refused: new Set<string>() };

  constructor({ concurrency, window }: { concurrency: AdaptiveLimit; window: RollingWindow | undefined }) {
    this.#concurrency = concurrency;
    this.#window = window;
  }

  /** To be called when a request is written and its permit stamped. Call `ended` for each. */
  sent(): SentLevels {
    return {
      inFlight: this.#concurrency.sent(),
      sent: this.#window && this.#rate.mark(this.#window.recentlySent),
    };
  }

  ended(): void {
    this.#concurrency.ended();
  }

  /** The request was answered and not refused. */
  answered({ inFlight, sent }: SentLevels): void {
    this.#count();
    this.#goodAnswers += 1;
    if (this.#refusedInARow.size > 0) this.#refusedInARow.clear();
    this.#concurrency.answered(inFlight);
    if (sent && this.#rate.answered(sent) === 'above') this.#window?.takeBackSlowDown();
  }

  /** The concurrency limit found, well below the ceiling; undefined unless most refusals were about concurrency. */
  get settled(): number | undefined {
    const isMeant = this.#byConcurrency > this.#byRate;
    return isMeant ? this.#concurrency.settled : undefined;
  }

  /**
   * The request was refused as too many and asked to wait `wait` milliseconds. True when that is about our pace or about
   * all requests; false when other requests are answered at this pace, so that it is about this request.
   */
  refused(levels: SentLevels, request: Refusable, { wait = 0 }: { wait?: number | undefined } = {}): boolean {
    this.#count(request.name);
    this.#refusedInARow.add(request.name);
    const isAlone = request.answersAtRefusal === this.#answers - 1;
    request.answersAtRefusal = this.#answers;
    request.goodAtFirstRefusal ??= this.#goodAnswers;
    const servedSince = this.#goodAnswers - request.goodAtFirstRefusal;
    // A quota refuses all requests, so it is about this request when others were answered since.
    if (wait >= shortestQuotaWait) return servedSince === 0;
    if (this.refusesAll) return true;
    // No other request was answered since its last refusal, so waiting with others would not help.
    if (isAlone) return false;
    if (this.#lower(levels)) return true;
    // About this request if others were answered, or if the pace cannot be lowered further.
    if (!this.#manyAreRefused() || servedSince >= goodAnswersToOthers || !this.#canBeSlower()) return false;
    this.#concurrency.halve();
    if (levels.sent) this.#rate.lowered(levels.sent.at, { forget: true });
    this.#window?.slowDown();
    return true;
  }

  /** All requests are refused, as when a quota is exhausted and the answers do not say so. */
  get refusesAll(): boolean {
    return this.#refusedInARow.size >= refusedInARowMeansAll;
  }

  #canBeSlower(): boolean {
    return this.#concurrency.limit > 1 || (this.#window?.slowedDownTo ?? 0) > leastRateShare;
  }

  /** The server answered that it is overloaded (503). Lowers the concurrency when that is about the number in flight. */
  overloaded({ inFlight }: SentLevels): void {
    this.#count();
    this.#concurrency.overloaded(inFlight);
  }

  #lower({ inFlight, sent }: SentLevels): boolean {
    const byConcurrency = this.#concurrency.refused(inFlight);
    const byRate = sent ? this.#rate.refused(sent) : 'within';
    if (sent && byRate === 'beyond') {
      this.#rate.lowered(sent.at);
      this.#window?.slowDown();
    }
    // When it may be about both, neither is counted.
    if (byConcurrency && byRate !== 'beyond') this.#byConcurrency += 1;
    if (!byConcurrency && byRate === 'beyond') this.#byRate += 1;
    return byConcurrency || byRate !== 'within';
  }

  #manyAreRefused(): boolean {
    const answers = this.#current.answers + this.#previous.answers;
    const refused = this.#current.refused.union(this.#previous.refused).size;
    return answers >= leastAnswers && refused > paceRefusalShare * answers;
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
