/**
 * 64-bit integers in our records. Identities (cluster, member, lease, watch) are opaque and keep every bit:
 * bigint. Everything else counts something that stays below 2^53 (revisions, versions, bytes, seconds), so it
 * is a number; a request beyond that range is taken as the largest number, which compares with every real
 * count the way the original would.
 */
export const saturate = (value: bigint): number =>
  value > BigInt(Number.MAX_SAFE_INTEGER)
    ? Number.MAX_SAFE_INTEGER
    : value < BigInt(Number.MIN_SAFE_INTEGER)
      ? Number.MIN_SAFE_INTEGER
      : Number(value)

export const fitsInt64 = (value: bigint): boolean => BigInt.asIntN(64, value) === value
export const fitsUint64 = (value: bigint): boolean => BigInt.asUintN(64, value) === value
