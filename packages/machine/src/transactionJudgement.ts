import {
  assert,
  type Compare,
  type Judgement,
  type KeyRange,
  type KvError,
  type LeaseId,
  NO_LEASE,
  type Op,
  type PieceVerdict,
  type PutFacts,
  type PutOp,
  rangeContains,
  refuse,
  type Revision,
} from '@kvorum/model'
import { judgePiece, joinVerdicts } from './compare.js'
import type { Step } from './step.js'
import { lookup } from './visible.js'
import type { View } from './view.js'

/**
 * An operation over several shards is decided by what each of them says of its own keys, when it has locked them. The
 * operation is walked the same way everywhere, so that a place in the walk names a compare or a put.
 */
export interface JudgedShard {
  readonly view: View
  readonly revision: Revision
  readonly compactRevision: Revision
  readonly range: KeyRange
  readonly hasLease: (lease: LeaseId) => boolean
  /** Leases have their records here: it speaks of them for all shards. */
  readonly home: boolean
}

export function* judgeOp(shard: JudgedShard, op: Op): Step<Judgement> {
  const compares: PieceVerdict[] = []
  for (const compare of comparesOf(op)) compares.push(yield* judgePiece(shard, compare))
  const puts: PutFacts[] = []
  for (const put of putsOf(op)) puts.push(yield* factsOf(shard, put))
  return { compares, puts, compactRevision: shard.compactRevision }
}

function* factsOf(shard: JudgedShard, put: PutOp): Step<PutFacts> {
  const isOwn = rangeContains(shard.range, put.key)
  if (!isOwn && (put.lease === NO_LEASE || !shard.home)) return null
  const asksKey = put.ignoreValue || put.ignoreLease
  const keyExists = isOwn && asksKey && (yield* lookup(shard.view, put.key, shard.revision)) !== null
  return { keyExists, leaseExists: put.lease === NO_LEASE || shard.hasLease(put.lease) }
}

/** Depth first, of both branches. */
function comparesOf(op: Op): Compare[] {
  if (op.kind !== 'txn') return []
  return [...op.compares, ...op.success.flatMap(comparesOf), ...op.failure.flatMap(comparesOf)]
}

function putsOf(op: Op): PutOp[] {
  if (op.kind === 'put') return [op]
  return op.kind === 'txn' ? [...op.success.flatMap(putsOf), ...op.failure.flatMap(putsOf)] : []
}

/**
 * The branch that each transaction of the operation takes, depth first over those taken. `judgements` are of all
 * shards with keys of the operation.
 */
export function chooseBranches(op: Op, judgements: readonly Judgement[]): boolean[] {
  const branches: boolean[] = []
  let next = 0
  const walk = (at: Op, isTaken: boolean): void => {
    if (at.kind !== 'txn') return
    const verdicts = at.compares.map(compare => {
      const place = next++
      return joinVerdicts(
        compare,
        judgements.map(({ compares }) => verdictAt(compares, place)),
      )
    })
    const succeeded = verdicts.every(holds => holds)
    if (isTaken) branches.push(succeeded)
    for (const nested of at.success) walk(nested, isTaken && succeeded)
    for (const nested of at.failure) walk(nested, isTaken && !succeeded)
  }
  walk(op, true)
  return branches
}

function verdictAt(compares: readonly PieceVerdict[], place: number): PieceVerdict {
  const verdict = compares[place]
  assert(verdict !== undefined, () => `nothing was said of compare ${place}`)
  return verdict
}

/**
 * Why the operation as it will be carried out is refused, or null; as `checkPlan` does it in one shard: all puts before
 * all ranges. `before`: the revision in front of the transaction's own.
 */
export function refusalOf(
  op: Op,
  branches: readonly boolean[],
  judgements: readonly Judgement[],
  before: Revision,
): KvError | null {
  const compactRevision = Math.max(0, ...judgements.map(judgement => judgement.compactRevision))
  let place = 0
  let taken = 0
  let put: KvError | null = null
  let range: KvError | null = null
  const walk = (at: Op, isTaken: boolean): void => {
    switch (at.kind) {
      case 'put': {
        const facts = judgements.map(({ puts }) => puts[place] ?? null).filter(one => one !== null)
        place++
        if (isTaken) put ??= refusedPut(at, facts, op.kind === 'put')
        return
      }
      case 'range':
        if (isTaken) range ??= refusedRange(at.revision, before, compactRevision)
        return
      case 'delete':
        return
      case 'txn': {
        const succeeded = isTaken && branches[taken++] === true
        for (const nested of at.success) walk(nested, isTaken && succeeded)
        for (const nested of at.failure) walk(nested, isTaken && !succeeded)
      }
    }
  }
  walk(op, true)
  return put ?? range
}

/** The key's shard says something of it, and its lease's home. `alone`: in etcd's order the lease comes first. */
function refusedPut(put: PutOp, facts: readonly NonNullable<PutFacts>[], alone: boolean): KvError | null {
  assert(facts.length > 0, () => 'nobody said anything of a put')
  const leaseIsGone = !facts.some(({ leaseExists }) => leaseExists)
  const keyIsGone = (put.ignoreValue || put.ignoreLease) && !facts.some(({ keyExists }) => keyExists)
  if (leaseIsGone && (alone || !keyIsGone)) return refuse('leaseNotFound').error
  return keyIsGone ? refuse('keyNotFound').error : null
}

function refusedRange(revision: Revision, before: Revision, compactRevision: Revision): KvError | null {
  if (revision > before) return refuse('futureRevision').error
  if (revision > 0 && revision < compactRevision) return refuse('compacted', { compactRevision }).error
  return null
}
