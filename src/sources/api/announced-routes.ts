import type { Clock } from '../../resilience/clock.ts';
import { type Permit, RollingWindow } from '../../resilience/rolling-window.ts';
import type { Rate } from './api-options.ts';

/** After this many answers in a row without an announcement, the route's announcements are forgotten. */
const forgottenAfter = 20;

interface Route {
  /** The two latest announcements, each as the limit per rate of the job file. One alone may be an error. */
  latest: (readonly number[])[];
  answersWithout: number;
  /** Set for a route that allows less than the API. */
  window: RollingWindow | undefined;
}

/**
 * The limits that an API's answers announce, by route (a lookup, the listing), because routes may differ. A limit that all
 * routes announce applies to the API, another one only to its routes. Later announcements replace earlier ones, also
 * upwards, but never above the job file's limits.
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
   * Records the limits that a good answer or a refusal announced: each at most `requests` in a window of `per`
   * milliseconds. Gives the rates that are now lower than before.
   */
  announce(route: string, limits: readonly Rate[]): Rate[] {
    const known = this.#routes.get(route);
    if (limits.length === 0 && (!known || known.latest.length === 0)) {
      // Recorded because a route that announces nothing keeps the API's limit unchanged.
      if (!known) this.#routes.set(route, { latest: [], answersWithout: 0, window: undefined });
      return [];
    }
    const of = known ?? { latest: [], answersWithout: 0, window: undefined };
    this.#routes.set(route, of);
    if (limits.length === 0) {
      of.answersWithout += 1;
      if (of.answersWithout < forgottenAfter) return [];
      of.latest = [];
    } else {
      of.latest = [...of.latest.slice(-1), this.#rates.map((rate) => allowedBy(limits, rate))];
      of.answersWithout = 0;
    }
    return this.#apply(of);
  }

  /** A permit from the route's own window, if it allows less than the API. */
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

/** The higher of the two latest announcements; Infinity with fewer than two. */
const allowedOn = ({ latest }: Route, index: number): number =>
  latest.length < 2 ? Infinity : Math.max(...latest.map((limits) => limits[index]!));

/** Only limits of the same or a longer window count, because a longer rate contains several of a shorter window. */
const allowedBy = (limits: readonly Rate[], { per }: Rate): number =>
  Math.min(Infinity, ...limits.filter((limit) => limit.per >= per).map(({ requests }) => Math.floor(requests)));
