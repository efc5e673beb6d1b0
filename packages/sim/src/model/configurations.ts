import { configuration, type Configuration } from './configuration.js'
import {
  attach,
  attachOver,
  drain,
  END_LEASE,
  END_LEASE_OVER,
  follower,
  sessionWrite,
  sessionWriteOver,
  snapshot,
  split,
  transaction,
} from './plans.js'

const BOTH = transaction(['a', 'x'])

/** Explored to the end by every `npm test`. Names say what there is, in the order of the keys. */
export const CLOSED: readonly Configuration[] = [
  configuration('three writes', { writes: ['a', 'a', 'x'], mustFinish: true }),
  configuration('two writes, a snapshot of both shards, oracle failover', {
    writes: ['a', 'x'],
    reads: [snapshot('a', 'x')],
    oracleFailover: true,
  }),
  configuration('two writes, a snapshot of both shards, a deposed leader', {
    writes: ['a', 'x'],
    reads: [snapshot('a', 'x')],
    terms: [2, 1],
  }),
  configuration('a write, a snapshot, three terms', {
    writes: ['a'],
    reads: [snapshot('a', 'x')],
    terms: [3, 1],
  }),
  configuration('two writes, a snapshot, oracle failover, ceilings learned late', {
    writes: ['a', 'x'],
    reads: [snapshot('a')],
    oracleFailover: true,
    slowCeiling: true,
    ceiling: 1,
    window: 1,
  }),
  configuration('two writes, a snapshot, slow rounds', {
    writes: ['a', 'x'],
    reads: [snapshot('a')],
    slowRounds: true,
  }),
  configuration('two writes, a drain read, a deposed leader', {
    writes: ['a', 'x'],
    reads: [drain('a')],
    terms: [2, 1],
  }),
  configuration('two writes, a watcher', { writes: ['a', 'x'], watch: true }),
  configuration('two writes, a watcher that trusts its log, a deposed leader', {
    writes: ['a', 'x'],
    watch: true,
    watchByLog: true,
    terms: [2, 1],
  }),
  configuration('a transaction, a write, a watcher that trusts its log', {
    transactions: [BOTH],
    writes: ['c'],
    watch: true,
    watchByLog: true,
  }),
  configuration('a transaction, a split while it is prepared, a watcher that trusts its log', {
    transactions: [transaction(['c', 'x'])],
    watch: true,
    watchByLog: true,
    splits: [split('b')],
  }),
  configuration('a write, a read at a follower, tails that are lost', {
    writes: ['a'],
    reads: [follower('a')],
    tails: true,
    terms: [2, 1],
  }),
  configuration('a transaction, a write, a snapshot of both shards', {
    transactions: [BOTH],
    writes: ['a'],
    reads: [snapshot('a', 'x')],
  }),
  configuration('a transaction, a snapshot, oracle failover, a deposed leader', {
    transactions: [BOTH],
    reads: [snapshot('a')],
    oracleFailover: true,
    terms: [2, 1],
  }),
  configuration('a transaction that compares, a write, a snapshot', {
    transactions: [transaction(['x'], ['a'])],
    writes: ['a'],
    reads: [snapshot('a')],
  }),
  configuration('a transaction, a write, a drain read', {
    transactions: [BOTH],
    writes: ['x'],
    reads: [drain('x')],
  }),
  configuration('a transaction, its coordinator dies', { transactions: [BOTH], coordinatorCrash: true }),
  configuration('a transaction, everything comes twice', {
    transactions: [BOTH],
    prepareCopies: 2,
    endCopies: 2,
    mustFinish: true,
  }),
  configuration('two transactions', { transactions: [BOTH, BOTH], mustFinish: true }),
  configuration('a write, a split, a watcher', { writes: ['c'], watch: true, splits: [split('b')] }),
  configuration('a transaction, a split while it is prepared, a watcher', {
    transactions: [transaction(['c', 'x'])],
    watch: true,
    splits: [split('b')],
  }),
  configuration('a transaction, a split', {
    transactions: [transaction(['c', 'x'])],
    splits: [split('b')],
    mustFinish: true,
  }),
  configuration('three shards: a transaction over all, a snapshot of all', {
    shards: 3,
    transactions: [transaction(['a', 'c', 'x'])],
    reads: [snapshot('a', 'c', 'x')],
  }),
  configuration('three shards: a write, a watcher', { shards: 3, writes: ['c'], watch: true }),
  configuration('three shards: two transactions with one shard in common', {
    shards: 3,
    transactions: [transaction(['a', 'c']), transaction(['c', 'x'])],
    mustFinish: true,
  }),
  configuration('a transaction, a half that is split again', {
    transactions: [transaction(['e', 'x'])],
    splits: [split('b'), split('d', 3)],
    mustFinish: true,
  }),
  configuration('a transaction, its shard is split twice', {
    transactions: [transaction(['a', 'c', 'e', 'x'])],
    splits: [split('d'), split('b')],
    mustFinish: true,
  }),
  configuration('two splits of a shard and copies of them, a write, a read by an old map', {
    writes: ['c'],
    reads: [snapshot('c')],
    oldMap: true,
    splits: [split('d'), split('b')],
    splitCopies: 2,
  }),
  configuration('dense mode ends and a split behind it, a write, a read by an old map', {
    writes: ['c'],
    reads: [snapshot('c')],
    oldMap: true,
    splits: [split('b')],
    dense: true,
  }),
  configuration('two transactions, a split, a coordinator dies and its next life goes on', {
    transactions: [transaction(['a', 'y']), transaction(['x'])],
    splits: [split('y', 2)],
    coordinatorCrash: true,
    successors: true,
  }),
  configuration('two writes, a compaction', { writes: ['a', 'x'], compact: true, mustFinish: true }),
  configuration('a write, a read, a compaction', { writes: ['x'], reads: [snapshot('a')], compact: true }),
  configuration('a write, a compaction, a deposed leader', { writes: ['a'], compact: true, terms: [2, 1] }),
  configuration('two writes, a watcher whose replica is replaced by a snapshot', {
    writes: ['a', 'x'],
    watch: true,
    watchByLog: true,
    snapshots: 1,
  }),
  configuration('a write, a split, a watcher whose replica is replaced by a snapshot', {
    writes: ['c'],
    splits: [split('b')],
    watch: true,
    watchByLog: true,
    snapshots: 1,
  }),
  configuration('a transaction, tails that are lost', {
    transactions: [BOTH],
    tails: true,
    terms: [2, 1],
  }),
  configuration('a write, a watcher that trusts its log, tails that are lost', {
    writes: ['a'],
    watch: true,
    watchByLog: true,
    tails: true,
    terms: [2, 1],
  }),
  configuration('a transaction, a split, a compaction', {
    transactions: [transaction(['c', 'x'])],
    splits: [split('b')],
    compact: true,
    mustFinish: true,
  }),
  configuration('dense mode ends, two writes, a dense read', {
    writes: ['a', 'x'],
    reads: [{ kind: 'dense', keys: ['a'] }],
    dense: true,
  }),
]

/** Leases and sessions over shards: explored to the end by every `npm test`, too. */
export const CLOSED_LEASES: readonly Configuration[] = [
  configuration('a session’s write elsewhere, sent twice', {
    transactions: [sessionWriteOver('x'), sessionWriteOver('x')],
    mustFinish: true,
  }),
  configuration('a session’s write, a split, the same write by the new map', {
    writes: [sessionWrite('c')],
    transactions: [sessionWriteOver('c')],
    splits: [split('b')],
  }),
  configuration('a session’s write of keys here and there, and of keys here alone', {
    writes: [sessionWrite('a')],
    transactions: [sessionWriteOver('a', 'x')],
  }),
  configuration('a session’s write elsewhere, its lease ends', {
    writes: [END_LEASE],
    transactions: [sessionWriteOver('x')],
  }),
  configuration('a lease with a key elsewhere, it ends', {
    writes: [END_LEASE],
    transactions: [attachOver('x'), END_LEASE_OVER],
  }),
  configuration('a lease with a key elsewhere, a key is attached there, it ends', {
    attached: ['x'],
    transactions: [attachOver('y'), END_LEASE_OVER],
  }),
  configuration('three shards: a lease with a key in one, a key is attached in another, it ends', {
    shards: 3,
    attached: ['x'],
    transactions: [attachOver('c'), END_LEASE_OVER],
  }),
  configuration('a lease with a key elsewhere, it ends, a snapshot', {
    attached: ['x'],
    transactions: [END_LEASE_OVER],
    reads: [snapshot('x')],
  }),
  configuration('a key is attached in the home, a split, the lease ends', {
    writes: [attach('c'), END_LEASE],
    transactions: [END_LEASE_OVER],
    splits: [split('b')],
  }),
  configuration('a lease with keys elsewhere, it ends, a split there', {
    attached: ['x', 'y'],
    transactions: [END_LEASE_OVER],
    splits: [split('y', 2)],
    mustFinish: true,
  }),
  configuration('a lease with keys here and there, it ends, a split of its home', {
    attached: ['c', 'x'],
    transactions: [END_LEASE_OVER],
    splits: [split('b')],
    mustFinish: true,
  }),
  configuration('a lease ends in its home, a key is attached, a deposed leader', {
    attached: ['a'],
    writes: [attach('c'), END_LEASE],
    terms: [2, 1],
  }),
]

/** A watcher whose shards are all elsewhere: the same. */
export const CLOSED_FAR: readonly Configuration[] = [
  configuration('two writes, a watcher elsewhere, a deposed leader', {
    writes: ['a', 'x'],
    watchFar: true,
    terms: [2, 1],
  }),
  configuration('a write, a watcher elsewhere, tails that are lost', {
    writes: ['a'],
    watchFar: true,
    tails: true,
    terms: [2, 1],
  }),
  configuration('a transaction, a write, a watcher elsewhere', {
    transactions: [BOTH],
    writes: ['y'],
    watchFar: true,
  }),
  configuration('a write, a split, a watcher elsewhere', {
    writes: ['c'],
    watchFar: true,
    splits: [split('b')],
  }),
  configuration('a transaction, a split while it is prepared, a watcher elsewhere', {
    transactions: [transaction(['c', 'x'])],
    watchFar: true,
    splits: [split('b')],
  }),
  configuration('three shards: two writes, a watcher elsewhere', {
    shards: 3,
    writes: ['c', 'x'],
    watchFar: true,
  }),
]
