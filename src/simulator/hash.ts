/** 32 well mixed bits of (seed, index, salt): the only source of randomness here, so equal options give equal answers. */
export function hash(seed: number, index: number, salt: number): number {
  return mix(mix(seed ^ Math.imul(salt, 0x9e3779b1)) ^ Math.imul(index + 1, 0x27d4eb2f));
}

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the output. */
function mix(bits: number): number {
  let mixed = bits ^ (bits >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
