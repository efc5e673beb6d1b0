import type { Revision } from '@kvorum/model'
import { KEYS, keysIn, type Key } from './keys.js'
import type { Replica } from './replica.js'
import { ownerOf, type World } from './world.js'

/**
 * What must hold in every state that can be reached, in words. "Known" is a revision of something that has finished:
 * a write or a transaction that was acknowledged, a read that was answered.
 *
 * - **Real time.** What begins after something known finished comes later in the order: a write's revision is above
 *   every revision known when it arrived, a read is at no lower one. (Together with the next two: strict
 *   serializability in the order of revisions.)
 * - **Order.** The revisions of one key grow along its shard's log, so each write sees the one before it.
 * - **Promise.** What was told about a key at or below a revision, by a read, a compare, a watch or a resolved revision,
 *   was all there was, and nothing is ever committed there later.
 * - **Unique.** The oracle hands out no revision twice, and none that dense mode has used.
 * - **Atomic.** A transaction has one outcome, decided once, at one revision; every shard applies that one, and nothing
 *   changes between a compare and the transaction's place in the order.
 * - **Watch.** Events come out in the order of revisions, whole revisions at a time, and when everything up to a
 *   revision is said to be out, everything is.
 * - **Header.** A read's answer names no revision below one that the reader's node has seen.
 * - **Once.** A session's write takes effect once, however often it is sent and wherever its keys are by then; whoever
 *   sends it again is told of that one revision. Where the session has ended nothing of it takes effect any more.
 * - **Lease.** A lease ends once, at one revision, in every shard with keys of it: all that is attached at that place in
 *   the order goes, nothing is attached behind it, and nobody is told that it is gone before it is.
 * - **End.** When nothing more can happen, no shard holds a lock; and where nothing is lost, everything has finished.
 *
 * Real time is one number, what was told is one number per key, so the state needs no history. A broken assertion of
 * the production functions is a violation too.
 */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
}

export function must(holds: boolean, what: () => string): void {
  if (!holds) throw new PropertyError(what())
}

/** A write of `key` takes effect at `revision`. */
export function judgeWrite(world: World, key: Key, revision: Revision, born: Revision): void {
  const told = world.guards[KEYS.indexOf(key)]!
  must(
    revision > told,
    () => `Promise: ${key}@${revision} is committed after everything up to ${told} was told`,
  )
  must(revision > born, () => `Real time: ${key}@${revision}, but ${born} was known when it began`)
}

/** Behind which revisions of its key a write comes in the log. */
export function judgeOrder(before: Replica, key: Key, revision: Revision): void {
  const last = before.written[KEYS.indexOf(key)]!.at(-1) ?? 0
  must(revision > last, () => `Order: ${key}@${revision} behind ${key}@${last}`)
}

/** Somebody is told what is written to `keys` at or below `revision`, from the state `view`. */
export function tell(
  world: World,
  keys: readonly Key[],
  revision: Revision,
  view: (key: Key) => Replica,
): World {
  for (const key of keys) {
    const truth = world.shards[ownerOf(world, key)]!.end
    const there = upTo(truth, key, revision)
    const seen = upTo(view(key), key, revision)
    must(
      seen === there,
      () => `Promise: told of ${seen} writes of ${key} up to ${revision}, there are ${there}`,
    )
    judgeDecided(world, key, revision, view(key))
  }
  const guards = world.guards.map((guard, i) => (keys.includes(KEYS[i]!) ? Math.max(guard, revision) : guard))
  return { ...world, guards }
}

export const upTo = (replica: Replica, key: Key, revision: Revision): number =>
  replica.written[KEYS.indexOf(key)]!.filter(other => other <= revision).length

/** A transaction exists everywhere from the moment its record is in the primary's log. */
function judgeDecided(world: World, key: Key, revision: Revision, view: Replica): void {
  for (const { decision, coordinator, writes } of world.transactions) {
    if (decision?.kind !== 'commit' || decision.revision > revision || !writes.includes(key)) continue
    const sees = view.written[KEYS.indexOf(key)]!.includes(decision.revision)
    must(
      sees,
      () =>
        `Promise: ${key} up to ${revision} without transaction ${coordinator?.id.sequence} at ${decision.revision}`,
    )
  }
}

/** All of a stream's keys, told of at once by a resolved revision. */
export const tellAll = (world: World, replica: Replica, revision: Revision): World =>
  tell(world, keysIn(replica.range), revision, () => replica)
