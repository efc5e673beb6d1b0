import { configuration, type Breach, type Configuration, type Plan } from '#src/model/configuration.js'
import {
  attach,
  attachOver,
  drain,
  END_LEASE,
  END_LEASE_OVER,
  sessionWrite,
  sessionWriteOver,
  snapshot,
  split,
  transaction,
} from '#src/model/plans.js'
import type { Patch } from './patchedRules.js'

/** The protocol with one rule missing: a patch of the built production functions, or a caller that breaks a rule. */
export interface Variant {
  readonly name: string
  readonly patches: readonly Patch[]
  readonly plan: Configuration
}

const patched = (name: string, plan: Plan, ...patches: readonly Patch[]): Variant => ({
  name,
  patches,
  plan: configuration(name, plan),
})

const breached = (name: string, plan: Plan, breach: Breach): Variant => ({
  name,
  patches: [],
  plan: configuration(name, { ...plan, breach }),
})

const patch = (file: string, text: string, replacement: string): Patch => ({ file, text, replacement })

const DEPOSED = { terms: [2, 1] } as const
const BOTH = transaction(['a', 'x'])
const HALVES = transaction(['c', 'x'])

const ORACLE: readonly Variant[] = [
  patched(
    'the oracle allocates without a round',
    { writes: ['a', 'x'], oracleFailover: true },
    patch('oracle.js', 'if (!isProven(item))', 'if (false)'),
  ),
  patched(
    'the oracle tells the current revision without a round',
    { writes: ['x'], reads: [snapshot('x')], oracleFailover: true },
    patch('oracle.js', 'if (!isProven(item))', `if (item.request.kind === 'alloc' && !isProven(item))`),
  ),
  patched(
    'a round answers what came after it began (oracle)',
    { writes: ['a', 'x'], reads: [snapshot('x')], oracleFailover: true, slowRounds: true },
    patch('proof.js', `item.proof.kind === 'underWay' && item.proof.round === round`, 'true'),
  ),
  patched(
    'the current revision is the ceiling',
    { writes: ['x'], reads: [snapshot('a')] },
    patch('oracle.js', 'revision: handedOut }', 'revision: oracle.ceiling }'),
  ),
  patched(
    'a new oracle serves before it has committed (M35)',
    { writes: ['a', 'x', 'a'], oracleFailover: true, ceiling: 1, window: 1 },
    patch(
      'oracle.js',
      'proposedCeiling: applied ?? 0,\n    handedOut: null,',
      'proposedCeiling: applied ?? 0,\n    handedOut: applied,',
    ),
  ),
  patched(
    'a ceiling is used before it is committed (M35)',
    { writes: ['a', 'x', 'a'], oracleFailover: true, ceiling: 1, window: 1 },
    patch('oracle.js', 'handedOut + request.count > oracle.ceiling', 'false'),
  ),
  patched(
    'a deposed oracle serves below the ceiling of its successor',
    { writes: ['a', 'x', 'a'], oracleFailover: true, slowCeiling: true, ceiling: 1, window: 1 },
    patch('oracle.js', 'if (term > oracle.term)', 'if (false)'),
  ),
]

const STAMPS: readonly Variant[] = [
  patched(
    'a block below the floor is used (order of a key)',
    { writes: ['a', 'a'] },
    patch('stamping.js', 'if (block.first <= leader.floor)', 'if (false)'),
  ),
  patched(
    'a block below the floor is used (promise to a reader)',
    { writes: ['a'], reads: [snapshot('a')] },
    patch('stamping.js', 'if (block.first <= leader.floor)', 'if (false)'),
  ),
  breached(
    'what is left of a block serves a later write (M46)',
    { writes: ['a', 'x', 'a'] },
    'leftoverOfBlockKept',
  ),
  patched(
    'an answer outlives its term',
    { writes: ['a', 'x', 'a'], terms: [3, 1] },
    patch('stamping.js', 'block.term !== leader.term || asked === undefined', 'asked === undefined'),
  ),
  breached(
    'a stamped command is forwarded to the next leader',
    { writes: ['a', 'a'], ...DEPOSED },
    'stampForwarded',
  ),
]

const PROMISES: readonly Variant[] = [
  patched(
    'a leader resolves without a proof, for a read',
    { writes: ['a'], reads: [snapshot('a')], ...DEPOSED },
    patch('resolving.js', 'isProven(resolve) && ', ''),
  ),
  patched(
    'a leader resolves without a proof, for a watch (M45)',
    { writes: ['a', 'x'], watch: true, ...DEPOSED },
    patch('resolving.js', 'isProven(resolve) && ', ''),
  ),
  patched(
    'a round serves a revision that was not known when it began',
    { writes: ['a'], reads: [snapshot('a'), snapshot('a')], slowRounds: true, ...DEPOSED },
    patch('proof.js', `item.proof.kind === 'underWay' && item.proof.round === round`, 'true'),
  ),
  patched(
    'a new leader resolves before its no-op',
    { writes: ['a'], reads: [snapshot('a')], ...DEPOSED },
    patch('resolving.js', 'if (!leader.open || leader.splitting > 0)', 'if (leader.splitting > 0)'),
  ),
  patched(
    'stamped writes that are not applied do not hold a promise up (M42)',
    { writes: ['a'], reads: [snapshot('a')] },
    patch('resolving.js', 'pending.revision <= resolve.revision && touches(pending)', 'false'),
  ),
  patched(
    'prepared transactions do not hold a promise up (M42)',
    { transactions: [BOTH], reads: [snapshot('x')] },
    patch('resolving.js', 'after < resolve.revision && ', 'false && '),
  ),
  breached(
    'a revision is resolved that nobody was given yet',
    { writes: ['x', 'a'], watch: true, ...DEPOSED },
    'futureResolved',
  ),
  patched(
    'a follower counts a promise before it has applied its index',
    { writes: ['a', 'x'], watch: true },
    patch('stream.js', '({ index }) => index <= stream.applied', '() => true'),
  ),
  patched(
    'a watch emits up to the greatest resolved revision (M30)',
    { writes: ['a', 'x'], watch: true },
    patch('mergedWatch.js', 'Math.min(...watch', 'Math.max(...watch'),
  ),
  patched(
    'a replica forgets what is prepared when it resolves by its log',
    { transactions: [BOTH], writes: ['c'], watch: true, watchByLog: true },
    patch('resolving.js', 'Math.min(highest, ...prepared.map(({ after }) => after))', 'highest'),
  ),
]

const DRAINS: readonly Variant[] = [
  patched(
    'a drain read is a plain ReadIndex',
    { writes: ['a', 'x'], reads: [drain('a')] },
    patch('draining.js', 'id < drain.asksBelow && writes.some(touches)', 'false'),
    patch('draining.js', 'inTheWay(pending.ask, pending.revision) && touches(pending)', 'false'),
  ),
  patched(
    'a drain read does not wait for locks',
    { transactions: [BOTH], reads: [snapshot('a'), drain('x')] },
    patch('draining.js', 'overlapAny(locks, drain.ranges)', 'false'),
  ),
  patched(
    'the header of a drain read is the shard’s own',
    { writes: ['x'], reads: [drain('a')] },
    patch('draining.js', 'Math.max(drain.seen, applied.revision)', 'applied.revision'),
  ),
]

const TRANSACTIONS: readonly Variant[] = [
  breached(
    'the revision is asked before all have voted',
    { transactions: [BOTH], writes: ['a'] },
    'revisionBeforeVotes',
  ),
  breached(
    'a vote is given before the prepare is applied',
    { transactions: [BOTH], reads: [snapshot('a')] },
    'voteBeforeApply',
  ),
  patched(
    'the record is written twice',
    { transactions: [BOTH], coordinatorCrash: true },
    patch('transactions.js', 'if (record !== undefined)', 'if (false)'),
    patch('transactions.js', 'return { state, released: null, outcome: null, heirs: [] };', ''),
  ),
  breached(
    'an orphan is told of an abort without a record',
    { transactions: [BOTH], coordinatorCrash: true },
    'orphanToldAbort',
  ),
  patched(
    'the record is forgotten when it is written (M41)',
    { transactions: [BOTH], coordinatorCrash: true },
    patch(
      'coordinator.js',
      `{ kind: 'answer', outcome },`,
      `{ kind: 'answer', outcome }, { kind: 'forget', group: coordinator.primary },`,
    ),
  ),
  patched(
    'a prepare is accepted after the end (M40)',
    { transactions: [BOTH], prepareCopies: 2, mustFinish: true },
    patch(
      'transactions.js',
      `if (hasEnded(state, id))\n        return { state, vote: { kind: 'over' } };`,
      '',
    ),
  ),
  breached(
    'writes pass locks',
    { transactions: [transaction(['x'], ['a'])], writes: ['a'] },
    'locksNotChecked',
  ),
  breached(
    'what is only compared is not locked',
    { transactions: [transaction(['x'], ['a'])], writes: ['a'] },
    'comparedNotLocked',
  ),
  breached(
    'a refused write keeps its revision',
    { transactions: [BOTH], writes: ['a'] },
    'refusedKeepsRevision',
  ),
  patched(
    'the floor does not know the transaction’s revision',
    { transactions: [BOTH], writes: ['a'] },
    patch(
      'stamping.js',
      'export const commitProposed = (leader, revision) => ({',
      'export const commitProposed = leader => leader; export const raise = (leader, revision) => ({',
    ),
  ),
  patched(
    'the same, in a shard that only compared',
    { transactions: [transaction(['x'], ['a'])], writes: ['a'] },
    patch(
      'stamping.js',
      'export const commitProposed = (leader, revision) => ({',
      'export const commitProposed = leader => leader; export const raise = (leader, revision) => ({',
    ),
  ),
  patched(
    'everybody waits for everybody',
    { transactions: [BOTH, BOTH], mustFinish: true },
    patch('transactions.js', `dies ? { kind: 'die' }`, `dies ? { kind: 'wait', behind: [] }`),
  ),
]

const SHAPES: readonly Variant[] = [
  patched(
    'a leader promises between proposing a split and applying it',
    { writes: ['c', 'x'], watch: true, splits: [split('b')] },
    patch('resolving.js', 'if (!leader.open || leader.splitting > 0)', 'if (!leader.open)'),
  ),
  patched(
    'the right half joins a watch as if it were resolved',
    { writes: ['c', 'x'], watch: true, splits: [split('b')] },
    patch('mergedWatch.js', 'newStream(split.epoch, left.stream.resolved)', 'newStream(split.epoch, 1e9)'),
  ),
  patched(
    'the right half does not inherit locks',
    { transactions: [HALVES], splits: [split('b')], mustFinish: true },
    patch('split.js', 'prepared: inherited,', 'prepared: [],'),
  ),
  patched(
    'the coordinator is not told of heirs',
    { transactions: [HALVES], splits: [split('b')], mustFinish: true },
    patch('split.js', '? [...held.heirs, heir]', '? held.heirs'),
  ),
  patched(
    'a prepare from before a split is accepted behind it',
    { transactions: [HALVES], watch: true, splits: [split('b')] },
    patch('transactions.js', 'if (!locks.every(lock => rangeCovers(range, lock)))', 'if (false)'),
  ),
  patched(
    'a copy of a split hides the split behind it',
    { writes: ['c'], reads: [snapshot('c')], oldMap: true, splits: [split('d'), split('b')], splitCopies: 2 },
    patch('leader.js', 'splitting: leader.splitting - 1', 'splitting: 0'),
    patch('leader.js', 'assert(leader.splitting > 0', 'assert(true'),
  ),
  breached(
    'a split that is proposed in dense mode is not counted behind it',
    { writes: ['c'], reads: [snapshot('c')], oldMap: true, splits: [split('b')], dense: true },
    'splitBeforeTheSwitchNotCounted',
  ),
  patched(
    'an end is forgotten with its heirs',
    {
      transactions: [transaction(['a', 'y']), transaction(['x'])],
      splits: [split('y', 2)],
      coordinatorCrash: true,
      successors: true,
    },
    patch('transactions.js', 'sequence >= below || heirs.length > 0', 'sequence >= below'),
  ),
  breached(
    'what a snapshot brought is not looked up in the history',
    { writes: ['a', 'x'], watch: true, watchByLog: true, snapshots: 1 },
    'snapshotTakenForEvents',
  ),
  breached(
    'a watcher goes on without the rest of a shard that a snapshot brought from behind a split',
    { writes: ['c', 'x'], splits: [split('b')], watch: true, watchByLog: true, snapshots: 1 },
    'restOfASplitNotWaitedFor',
  ),
  breached(
    'a shard compacts what it has not resolved',
    { writes: ['a', 'x'], compact: true },
    'compactedUnresolved',
  ),
  breached(
    'a shard with a prepared transaction compacts what it has not resolved',
    { transactions: [BOTH], compact: true },
    'compactedUnresolved',
  ),
  breached(
    'a read goes on at a revision that is compacted',
    { writes: ['x'], reads: [snapshot('a')], compact: true },
    'compactedReadServed',
  ),
  patched(
    'unstamped writes are applied behind the end of dense mode',
    { writes: ['a', 'x'], dense: true },
    patch('denseSwitch.js', `stamp ?? 'again'`, 'stamp ?? last + 1'),
  ),
  breached(
    'the oracle starts at the revision of the proposal',
    { writes: ['a', 'x'], dense: true },
    'oracleStartsAtProposal',
  ),
  patched(
    'dense reads go on in oracle mode',
    { writes: ['a', 'x'], reads: [{ kind: 'dense', keys: ['a'] }], dense: true },
    patch(
      'denseSwitch.js',
      `servesDenseReads = (mode) => mode.kind === 'dense'`,
      'servesDenseReads = () => true',
    ),
  ),
]

const SESSIONS: readonly Variant[] = [
  patched(
    'two transactions with one write of a session do not know of each other',
    { transactions: [sessionWriteOver('x'), sessionWriteOver('x')] },
    patch('transactions.js', 'sameWrite.includes(other)', 'false'),
  ),
  breached(
    'a session’s write in its home does not wait for a transaction with it',
    { writes: [sessionWrite('a')], transactions: [sessionWriteOver('c', 'x')] },
    'sequencePassesLocks',
  ),
  breached(
    'the answer to a session’s write is not kept with the decision',
    { transactions: [sessionWriteOver('x'), sessionWriteOver('x')] },
    'answerNotKept',
  ),
  breached(
    'a session’s write is taken by whichever shard has its keys',
    { writes: [sessionWrite('c'), sessionWrite('c')], splits: [split('b')] },
    'sequenceAtAnyShard',
  ),
  breached(
    'a session ends under a prepared write',
    { writes: [END_LEASE], transactions: [sessionWriteOver('x')] },
    'sessionLeaseNotHeld',
  ),
]

const LEASES: readonly Variant[] = [
  patched(
    'a lease ends while a key is being attached, elsewhere',
    { attached: ['x'], transactions: [attachOver('y'), END_LEASE_OVER] },
    patch('transactions.js', 'leasesConflict(leaseLocksOf(other.work), leases)', 'false'),
  ),
  breached(
    'a lease ends while a key is being attached, in its home',
    { writes: [END_LEASE], transactions: [attachOver('x')] },
    'leaseEndPassesLocks',
  ),
  breached(
    'the lock on a lease is taken in its home only',
    { attached: ['x'], transactions: [attachOver('y'), END_LEASE_OVER] },
    'leaseLockedAtHomeOnly',
  ),
  breached(
    'the end of a lease does not lock the keys that go',
    { attached: ['x'], transactions: [END_LEASE_OVER], reads: [snapshot('x')] },
    'attachedNotLocked',
  ),
  breached(
    'the home does not remember where keys were attached',
    { writes: [END_LEASE], transactions: [attachOver('x')] },
    'elsewhereForgotten',
  ),
  breached(
    'a lease ends where its end was asked for, and keys have come elsewhere',
    { shards: 3, attached: ['x'], transactions: [attachOver('c'), END_LEASE_OVER] },
    'endAsksTooFew',
  ),
  breached(
    'a lease ends in its home without another look',
    { writes: [END_LEASE], transactions: [attachOver('x')] },
    'plainEndNotJudged',
  ),
  breached(
    'a split of the home takes keys of a lease away, and nobody notes it',
    { writes: [attach('c'), END_LEASE], splits: [split('b')] },
    'splitNotNoted',
  ),
]

const FAR: readonly Variant[] = [
  breached(
    'a shard that was split speaks to a watcher elsewhere for what it has left',
    { writes: ['c', 'x'], watchFar: true, splits: [split('b')] },
    'farRangeNotChecked',
  ),
  breached(
    'history is read for a watcher elsewhere from whoever is behind the promise',
    { writes: ['a', 'x'], watchFar: true, ...DEPOSED },
    'farIndexNotAwaited',
  ),
  patched(
    'a shard forgets what is prepared when it says how far it is',
    { transactions: [BOTH], writes: ['y'], watchFar: true },
    patch('resolving.js', 'Math.min(highest, ...prepared.map(({ after }) => after))', 'highest'),
  ),
  patched(
    'a watch elsewhere reads up to the greatest resolved revision',
    { writes: ['a', 'x'], watchFar: true },
    patch('mergedWatch.js', 'Math.min(...watch', 'Math.max(...watch'),
  ),
]

export const VARIANTS: readonly Variant[] = [
  ...ORACLE,
  ...STAMPS,
  ...PROMISES,
  ...DRAINS,
  ...TRANSACTIONS,
  ...SHAPES,
  ...SESSIONS,
  ...LEASES,
  ...FAR,
]
