import { LinkedQueue } from './linked-queue.ts';
import type { TravelTime } from './travel-time.ts';

/** The use of a window's slots by one permit, from the moment its request was written. Monotonic milliseconds. */
export interface SlotUse {
  readonly window: RateWindow;
  weight: number;
  sentAt: number;
  answeredAt: number;
  freed: boolean;
}

interface RateWindowOptions {
  requests: number;
  per: number;
  margin: number;
  uplinkSpread: number;
  travel: TravelTime;
}

/**
 * The used slots of one "at most N in any `per`" and when they become free; see RollingWindow for the proof.
 * A slot becomes free at the earlier of two times: `sentAt + spread` or `answeredAt - travel time`, plus the window. Each
 * of the two is ordered (by sending, by answers), so two queues replace a heap. The travel time is applied when slots are
 * freed, so a later estimate also counts for slots in use.
 */
export class RateWindow {
  /** The original limit. */
  readonly requests: number;
  readonly per: number;
  #limit: number;
  /** Milliseconds by which the transit time to the server may vary. */
  readonly #spread: number;
  readonly #blockedFor: number;
  readonly #travel: TravelTime;
  readonly #sent = new LinkedQueue<SlotUse>();
  readonly #answered = new LinkedQueue<SlotUse>();
  readonly #recent = new LinkedQueue<SlotUse>();
  #recentWeight = 0;
  #used = 0;
  #peak = 0;

  constructor({ requests, per, margin, uplinkSpread, travel }: RateWindowOptions) {
    this.requests = requests;
    this.per = per;
    this.#limit = requests;
    this.#spread = uplinkSpread * per;
    this.#blockedFor = per + margin;
    this.#travel = travel;
  }

  /** The limit now: `requests`, or less after it was lowered. */
  get limit(): number {
    return this.#limit;
  }

  /** Weight in use: granted and not sent yet, or sent and not free again yet. */
  get used(): number {
    return this.#used;
  }

  /** The most weight sent within any half-open interval of `per`. */
  get peak(): number {
    return this.#peak;
  }

  /** Weight sent within the last `per`, up to the latest request. */
  get recent(): number {
    return this.#recentWeight;
  }

  /** Lowers the limit; never raises it. True when it changed. */
  lower(limit: number): boolean {
    if (limit >= this.#limit) return false;
    this.#limit = limit;
    return true;
  }

  /** Lowers or raises the limit, never above the original one. */
  limitTo(limit: number): void {
    this.#limit = Math.max(1, Math.min(this.requests, limit));
  }

  grant(weight: number): void {
    this.#used += weight;
  }

  /** Frees weight that was granted and not sent. */
  giveBack(weight: number): void {
    this.#used -= weight;
  }

  send(weight: number, now: number): SlotUse {
    this.free(now);
    const use = { window: this, weight, sentAt: now, answeredAt: Infinity, freed: false };
    this.#sent.push(use);
    this.#recent.push(use);
    this.#recentWeight += weight;
    for (let old = this.#recent.first; old && old.value.sentAt <= now - this.per; old = this.#recent.first) {
      this.#recentWeight -= old.value.weight;
      this.#recent.remove(old);
    }
    this.#peak = Math.max(this.#peak, this.#recentWeight);
    return use;
  }

  answer(use: SlotUse, now: number): void {
    use.answeredAt = now;
    this.#answered.push(use);
  }

  /** Frees the slots whose time has come. */
  free(now: number): void {
    const travel = this.#travel.atLeast(this.#spread);
    for (let head = nextInUse(this.#answered); head && this.#dueAfterAnswer(head, travel) <= now;) {
      this.#end(head);
      head = nextInUse(this.#answered);
    }
    for (let head = nextInUse(this.#sent); head && this.#dueAfterSending(head) <= now;) {
      this.#end(head);
      head = nextInUse(this.#sent);
    }
  }

  /** When the next slot becomes free; Infinity when none was sent. */
  nextDue(): number {
    const sent = nextInUse(this.#sent);
    const answered = nextInUse(this.#answered);
    return Math.min(
      sent ? this.#dueAfterSending(sent) : Infinity,
      answered ? this.#dueAfterAnswer(answered, this.#travel.atLeast(this.#spread)) : Infinity,
    );
  }

  /** When `weight` more is free, by what is known now; Infinity when less than that was sent. */
  dueFor(weight: number): number {
    const travel = this.#travel.atLeast(this.#spread);
    const dues: { due: number; weight: number }[] = [];
    for (let node = this.#sent.first; node; node = node.next) {
      const { value } = node;
      if (value.freed) continue;
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

  #dueAfterSending({ sentAt }: SlotUse): number {
    return sentAt + this.#spread + this.#blockedFor;
  }

  #dueAfterAnswer({ sentAt, answeredAt }: SlotUse, travel: number): number {
    // Not before `sentAt`: the travel time may have been measured on slower requests than this one.
    return Math.max(sentAt, answeredAt - travel) + this.#blockedFor;
  }

  #end(use: SlotUse): void {
    use.freed = true;
    this.#used -= use.weight;
  }
}

/** The head of the queue, after removing entries that the other queue has freed. */
function nextInUse(queue: LinkedQueue<SlotUse>): SlotUse | undefined {
  while (queue.first?.value.freed) queue.shift();
  return queue.first?.value;
}
