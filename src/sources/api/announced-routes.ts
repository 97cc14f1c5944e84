import type { Clock } from '../../resilience/clock.ts';
import { type Permit, RollingWindow } from '../../resilience/rolling-window.ts';
import type { Rate } from './api-options.ts';

/** Answers in a row without an announcement after which the last ones are forgotten. */
const forgottenAfter = 20;

interface Route {
  /** By rate of the job file, what the two latest announcements allow. One alone may be a slip. */
  latest: (readonly number[])[];
  silent: number;
  /** For a route that allows less than the others do. */
  window: RollingWindow | undefined;
}

/**
 * What an API's answers announce about its limits, by route (a lookup, the listing), because routes may differ. What all
 * of them announce holds for the API; what only some do, for those. Later announcements replace earlier ones, upwards too,
 * never above what the job file allows.
 */
export class AnnouncedRoutes {
  readonly #rates: readonly Rate[];
  readonly #all: RollingWindow;
  readonly #clock: Clock;
  readonly #routes = new Map<string, Route>();
  #allowed: readonly number[];

  constructor({ rates, window, clock }: { rates: readonly Rate[]; window: RollingWindow; clock: Clock }) {
    this.#rates = rates;
    this.#all = window;
    this.#clock = clock;
    this.#allowed = rates.map(({ requests }) => requests);
  }

  /**
   * Takes what a good answer, or a refusal, announced: at most `requests` in a window of `per` milliseconds, each. Gives the
   * rates that are lower now than they were.
   */
  heed(route: string, limits: readonly Rate[]): Rate[] {
    const known = this.#routes.get(route);
    if (limits.length === 0 && (!known || known.latest.length === 0)) {
      // One that announces nothing keeps the API's own limit from being lowered for all.
      if (!known) this.#routes.set(route, { latest: [], silent: 0, window: undefined });
      return [];
    }
    const of = known ?? { latest: [], silent: 0, window: undefined };
    this.#routes.set(route, of);
    if (limits.length === 0) {
      of.silent += 1;
      if (of.silent < forgottenAfter) return [];
      of.latest = [];
    } else {
      of.latest = [...of.latest.slice(-1), this.#rates.map((rate) => allowedBy(limits, rate))];
      of.silent = 0;
    }
    return this.#apply(of);
  }

  /** A permit of the route's own, where it allows less than the API does. */
  async permit(route: string, signal: AbortSignal | undefined): Promise<Permit | undefined> {
    const window = this.#routes.get(route)?.window;
    return window?.acquire(signal ? { signal } : {});
  }

  #apply(changed: Route): Rate[] {
    const routes = [...this.#routes.values()];
    const before = this.#allowed;
    this.#allowed = this.#rates.map(({ requests }, index) =>
      Math.min(requests, Math.max(...routes.map((route) => allowedOn(route, index)))),
    );
    if (this.#allowed.some((limit, index) => limit !== before[index])) this.#all.limitTo(this.#allowed);
    const wasOwn = changed.window !== undefined;
    for (const route of routes) this.#limitRoute(route);
    const own = changed.window && !wasOwn;
    return this.#rates.flatMap(({ per }, index) => {
      const now = own ? Math.min(this.#allowed[index]!, allowedOn(changed, index)) : this.#allowed[index]!;
      return now < before[index]! ? [{ requests: now, per }] : [];
    });
  }

  #limitRoute(route: Route): void {
    const limits = this.#allowed.map((limit, index) => Math.min(limit, allowedOn(route, index)));
    if (limits.every((limit, index) => limit >= this.#allowed[index]!)) {
      route.window = undefined;
      return;
    }
    route.window ??= new RollingWindow({ rates: this.#rates, clock: this.#clock });
    route.window.limitTo(limits);
  }
}

/** Of two announcements the more generous one; Infinity while there is none to go by. */
const allowedOn = ({ latest }: Route, index: number): number =>
  latest.length < 2 ? Infinity : Math.max(...latest.map((limits) => limits[index]!));

/** A longer window may hold many of the server's, so nothing follows for it. */
const allowedBy = (limits: readonly Rate[], { per }: Rate): number =>
  Math.min(Infinity, ...limits.filter((limit) => limit.per >= per).map(({ requests }) => Math.floor(requests)));
