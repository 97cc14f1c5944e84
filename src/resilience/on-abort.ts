type Follower = (reason: unknown) => void;

const followersOf = new WeakMap<AbortSignal, Set<Follower>>();

/**
 * Calls `follower`, which must not throw, with the reason when the signal aborts; not to be used once it has. However many
 * follow it, the signal has one listener, because a run's signal is followed by thousands of requests at a time, and to
 * add a listener to a signal, or to remove one, takes a walk over all that it has.
 */
export function onAbort(signal: AbortSignal, follower: Follower): void {
  const followers = followersOf.get(signal);
  if (followers) {
    followers.add(follower);
    return;
  }
  followersOf.set(signal, new Set([follower]));
  signal.addEventListener('abort', tellFollowers);
}

/** The follower is not called any more. The last one takes the listener away, so that nothing is left behind. */
export function offAbort(signal: AbortSignal, follower: Follower): void {
  const followers = followersOf.get(signal);
  if (!followers?.delete(follower) || followers.size > 0) return;
  followersOf.delete(signal);
  signal.removeEventListener('abort', tellFollowers);
}

function tellFollowers(this: AbortSignal): void {
  for (const follower of followersOf.get(this) ?? []) follower(this.reason);
  followersOf.delete(this);
  this.removeEventListener('abort', tellFollowers);
}
