/** The limit minus the share left for other users: rounded down, at least 1. */
export function leaveHeadroom(requests: number, headroom: number): number {
  // The small subtrahend corrects binary fractions: 0.07 × 100 is 7.000000000000001.
  return Math.max(1, requests - Math.ceil(requests * headroom - 1e-9));
}
