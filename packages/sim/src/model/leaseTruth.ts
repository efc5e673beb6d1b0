import type { Revision } from '@kvorum/model'
import { KEYS, type Key } from './keys.js'
import { judgeOrder, judgeWrite, must } from './properties.js'
import type { Replica } from './replica.js'
import { ownerOf, type World } from './world.js'

/** All that is attached to the lease, also by transactions that are decided and on their way to their shards. */
export const attachedKeys = (world: World): readonly Key[] =>
  KEYS.filter(key => {
    const { end } = world.shards[ownerOf(world, key)]!
    if (end.attached.includes(key)) return true
    return world.transactions.some(
      ({ work, decision, writes }) =>
        work === 'attach' &&
        decision?.kind === 'commit' &&
        writes.includes(key) &&
        !end.written[KEYS.indexOf(key)]!.includes(decision.revision),
    )
  })

/** A key is attached, at the place in the log where that is decided. */
export function judgeAttach({ lease }: World, revision: Revision): void {
  must(lease.ended === null, () => `Lease: a key is attached at ${revision}, and it ended at ${lease.ended}`)
}

/** The lease ends: from here on all its keys are gone at this revision, wherever they are. */
export function leaseEnds(world: World, revision: Revision, born: Revision): World {
  must(
    world.lease.ended === null,
    () => `Lease: it ends at ${revision}, and has ended at ${world.lease.ended}`,
  )
  for (const key of attachedKeys(world)) judgeWrite(world, key, revision, born)
  return { ...world, lease: { ...world.lease, ended: revision } }
}

/** A transaction ends it: every shard with keys takes part, or those keys stay. */
export function judgeAsked(world: World, sequence: number): void {
  for (const key of attachedKeys(world)) {
    const { prepared } = world.shards[ownerOf(world, key)]!.end.transactions
    must(
      prepared.some(({ id }) => id.sequence === sequence),
      () => `Lease: it ends without the shard of ${key}, which is attached`,
    )
  }
}

/** What one shard deletes is what there is to delete in it. */
export function judgeDeleted(
  before: Replica,
  due: readonly Key[],
  deleted: readonly Key[],
  at: Revision,
): void {
  must(
    due.length === deleted.length && due.every(key => deleted.includes(key)),
    () => `Lease: ends at ${at} with [${deleted.join()}], and [${due.join()}] were attached`,
  )
  for (const key of deleted) judgeOrder(before, key, at)
}

/** The session's write takes effect, by whichever sending. */
export function sessionWrites(world: World, revision: Revision): World {
  const { done, ended } = world.lease
  must(done === null, () => `Once: the session's write takes effect at ${revision}, and did at ${done}`)
  must(
    ended === null,
    () => `Once: the session's write takes effect at ${revision}, it is gone since ${ended}`,
  )
  return { ...world, lease: { ...world.lease, done: revision } }
}

/** Whoever sends it again is told what it came to, or that the session, or the lease, is no more. */
export function toldKnown(world: World, answer: Revision | null): World {
  const { done, ended } = world.lease
  if (answer === null) {
    must(ended !== null, () => 'Lease: it is said to be gone, and has not ended')
    return world
  }
  must(
    answer === done,
    () => `Once: the answer is of ${answer}, the write took effect at ${done ?? 'no revision'}`,
  )
  return { ...world, acked: Math.max(world.acked, answer) }
}
