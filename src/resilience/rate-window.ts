import { LinkedQueue } from './linked-queue.ts';
import type { TravelTime } from './travel-time.ts';

/** One permit's share of one window, from the moment its request was written. Monotonic milliseconds. */
export interface Resting {
  readonly window: RateWindow;
  weight: number;
  sentAt: number;
  answeredAt: number;
  rested: boolean;
}

export interface RateWindowOptions {
  requests: number;
  per: number;
  margin: number;
  uplinkSpread: number;
  travel: TravelTime;
}

/**
 * What one "at most N in any `per`" has given away and when it comes back; see RollingWindow for why it holds.
 * What was sent rests until the earlier of two times, and each is known in the order it will come, so that two queues
 * do what a heap would: `sentAt + spread` (in order of sending) and `answeredAt - travel time` (in order of answers;
 * the travel time is the same for all, so that what is learnt later counts for those resting already).
 */
export class RateWindow {
  /** As it was set up. */
  readonly requests: number;
  readonly per: number;
  #limit: number;
  /** Milliseconds by which the way to the server may vary. */
  readonly #spread: number;
  readonly #rest: number;
  readonly #travel: TravelTime;
  readonly #sent = new LinkedQueue<Resting>();
  readonly #answered = new LinkedQueue<Resting>();
  readonly #recent = new LinkedQueue<Resting>();
  #recentWeight = 0;
  #used = 0;
  #peak = 0;

  constructor({ requests, per, margin, uplinkSpread, travel }: RateWindowOptions) {
    this.requests = requests;
    this.per = per;
    this.#limit = requests;
    this.#spread = uplinkSpread * per;
    this.#rest = per + margin;
    this.#travel = travel;
  }

  /** What may count at most now: `requests`, or less since it was lowered. */
  get limit(): number {
    return this.#limit;
  }

  /** Weight that counts now: granted and not yet sent, or sent and not yet rested. */
  get used(): number {
    return this.#used;
  }

  /** The most weight sent within any half-open interval of `per`. */
  get peak(): number {
    return this.#peak;
  }

  /** Weight sent within the last `per`, as of the latest that was sent. */
  get recent(): number {
    return this.#recentWeight;
  }

  /** Never raises it. True when this changed something. */
  lower(limit: number): boolean {
    if (limit >= this.#limit) return false;
    this.#limit = limit;
    return true;
  }

  /** Lower or higher than it is now, never above what it was set up with. */
  limitTo(limit: number): void {
    this.#limit = Math.max(1, Math.min(this.requests, limit));
  }

  grant(weight: number): void {
    this.#used += weight;
  }

  /** Takes back what was granted and never sent. */
  giveBack(weight: number): void {
    this.#used -= weight;
  }

  send(weight: number, now: number): Resting {
    this.free(now);
    const resting = { window: this, weight, sentAt: now, answeredAt: Infinity, rested: false };
    this.#sent.push(resting);
    this.#recent.push(resting);
    this.#recentWeight += weight;
    for (let old = this.#recent.first; old && old.value.sentAt <= now - this.per; old = this.#recent.first) {
      this.#recentWeight -= old.value.weight;
      this.#recent.remove(old);
    }
    this.#peak = Math.max(this.#peak, this.#recentWeight);
    return resting;
  }

  answer(resting: Resting, now: number): void {
    resting.answeredAt = now;
    this.#answered.push(resting);
  }

  /** Frees what has rested. */
  free(now: number): void {
    const travel = this.#travel.atLeast(this.#spread);
    for (let head = nextResting(this.#answered); head && this.#dueAfterAnswer(head, travel) <= now;) {
      this.#end(head);
      head = nextResting(this.#answered);
    }
    for (let head = nextResting(this.#sent); head && this.#dueAfterSending(head) <= now;) {
      this.#end(head);
      head = nextResting(this.#sent);
    }
  }

  /** When the next of what was sent has rested; Infinity when nothing rests. */
  nextDue(): number {
    const sent = nextResting(this.#sent);
    const answered = nextResting(this.#answered);
    return Math.min(
      sent ? this.#dueAfterSending(sent) : Infinity,
      answered ? this.#dueAfterAnswer(answered, this.#travel.atLeast(this.#spread)) : Infinity,
    );
  }

  /** When `weight` more of what is resting now has rested, as far as is known now; Infinity when less than that rests. */
  dueFor(weight: number): number {
    const travel = this.#travel.atLeast(this.#spread);
    const dues: { due: number; weight: number }[] = [];
    for (let node = this.#sent.first; node; node = node.next) {
      const { value } = node;
      if (value.rested) continue;
      const due = Math.min(this.#dueAfterSending(value), this.#dueAfterAnswer(value, travel));
      dues.push({ due, weight: value.weight });
    }
    let missing = weight;
    for (const { due, weight: freed } of dues.toSorted((a, b) => a.due - b.due)) {
      missing -= freed;
      if (missing <= 0) return due;
    }
    return Infinity;
  }

  #dueAfterSending({ sentAt }: Resting): number {
    return sentAt + this.#spread + this.#rest;
  }

  #dueAfterAnswer({ sentAt, answeredAt }: Resting, travel: number): number {
    // Not before `sentAt`: the travel time may have been learnt from slower ways than this one took.
    return Math.max(sentAt, answeredAt - travel) + this.#rest;
  }

  #end(resting: Resting): void {
    resting.rested = true;
    this.#used -= resting.weight;
  }
}

/** The head of the queue, after dropping those that the other queue has freed. */
function nextResting(queue: LinkedQueue<Resting>): Resting | undefined {
  while (queue.first?.value.rested) queue.shift();
  return queue.first?.value;
}
