type Follower = (reason: unknown) => void;

const followersOf = new WeakMap<AbortSignal, Set<Follower>>();

/**
 * Calls `follower`, which must not throw, with the reason when the signal aborts. The signal must not have aborted yet.
 * All followers share one listener, because thousands of requests follow a run's signal, and adding or removing a listener
 * takes time in proportion to the number of listeners.
 */
export function onAbort(signal: AbortSignal, follower: Follower): void {
  const followers = followersOf.get(signal);
  if (followers) {
    followers.add(follower);
    return;
  }
  followersOf.set(signal, new Set([follower]));
  signal.addEventListener('abort', callFollowers);
}

/** Stops calling the follower. Removing the last follower removes the listener. */
export function offAbort(signal: AbortSignal, follower: Follower): void {
  const followers = followersOf.get(signal);
  if (!followers?.delete(follower) || followers.size > 0) return;
  followersOf.delete(signal);
  signal.removeEventListener('abort', callFollowers);
}

function callFollowers(this: AbortSignal): void {
  for (const follower of followersOf.get(this) ?? []) follower(this.reason);
  followersOf.delete(this);
  this.removeEventListener('abort', callFollowers);
}
