import { ByteReader, ByteWriter, type Revision } from '@kvorum/model'
import { BboltError } from '@kvorum/storage'

/**
 * What etcd (storage version 3.5) keeps in the buckets of its database, as far as it is more than a protobuf
 * message under its name:
 *
 *     key    revision (8) '_' number within it (8), 't' behind a deletion -> mvccpb.KeyValue
 *     lease  id (8) -> leasepb.Lease
 *     meta   consistent_index, term: u64; the two compact revisions: as in `key`
 *     members  id in hexadecimal -> JSON
 *     auth   authEnabled: one byte; authRevision: u64
 *     alarm  etcdserverpb.AlarmMember -> nothing
 *
 * All integers are big-endian.
 */
export const BUCKETS = [
  'alarm',
  'auth',
  'authRoles',
  'authUsers',
  'cluster',
  'key',
  'lease',
  'members',
  'members_removed',
  'meta',
] as const
export type BucketName = (typeof BUCKETS)[number]

export const META_KEYS = {
  consistentIndex: 'consistent_index',
  finishedCompaction: 'finishedCompactRev',
  scheduledCompaction: 'scheduledCompactRev',
  term: 'term',
} as const

const SEPARATOR = 0x5f
const TOMBSTONE = 0x74
const REVISION_BYTES = 17

export interface RevisionKey {
  readonly revision: Revision
  readonly sub: number
  readonly tombstone: boolean
}

export function encodeRevisionKey({ revision, sub, tombstone }: RevisionKey): Uint8Array {
  const out = new ByteWriter(REVISION_BYTES + 1)
  out.u64(BigInt(revision)).u8(SEPARATOR).u64(BigInt(sub))
  return (tombstone ? out.u8(TOMBSTONE) : out).finish()
}

export function decodeRevisionKey(bytes: Uint8Array): RevisionKey {
  const tombstone = bytes.length === REVISION_BYTES + 1
  const whole = bytes.length === REVISION_BYTES || (tombstone && bytes[REVISION_BYTES] === TOMBSTONE)
  if (!whole || bytes[8] !== SEPARATOR) throw new BboltError('a key is not under a revision')
  const input = new ByteReader(bytes)
  const revision = Number(input.u64())
  input.u8()
  const sub = Number(input.u64())
  if (!Number.isSafeInteger(revision) || sub >= 2 ** 32) throw new BboltError('a revision is out of range')
  return { revision, sub, tombstone }
}

export const encodeCount = (count: number): Uint8Array => new ByteWriter(8).u64(BigInt(count)).finish()

/** The id is the key, too. */
export const leaseKeyOf = (id: bigint): Uint8Array => new ByteWriter(8).u64(id).finish()
