import { configuration, type Configuration } from './configuration.js'
import {
  attachOver,
  END_LEASE,
  END_LEASE_OVER,
  follower,
  sessionWriteOver,
  snapshot,
  split,
  transaction,
} from './plans.js'

const BOTH = transaction(['a', 'x'])

/** Explored to the end by `npm run model`: up to some hundred thousand states each. */
export const LARGE: readonly Configuration[] = [
  configuration('a lease with a key elsewhere, a key is attached there, it ends, a snapshot', {
    attached: ['x'],
    transactions: [attachOver('y'), END_LEASE_OVER],
    reads: [snapshot('x', 'y')],
  }),
  configuration('a transaction, a split, a read at a follower', {
    transactions: [transaction(['c', 'x'])],
    splits: [split('b')],
    reads: [follower('c')],
  }),
  configuration('a transaction, a split, a watcher whose replicas are replaced by snapshots', {
    transactions: [transaction(['c', 'x'])],
    splits: [split('b')],
    watch: true,
    watchByLog: true,
    snapshots: 2,
  }),
  configuration('two writes, a read, a compaction', {
    writes: ['a', 'x'],
    reads: [snapshot('a')],
    compact: true,
  }),
  configuration('a write, two splits of a shard and copies of them, a watcher', {
    writes: ['c'],
    watch: true,
    splits: [split('d'), split('b')],
    splitCopies: 2,
  }),
  configuration('a write, a snapshot, oracle failover, three terms', {
    writes: ['a'],
    reads: [snapshot('a', 'x')],
    oracleFailover: true,
    terms: [3, 1],
  }),
  configuration('a transaction, its coordinator dies, prepares come twice', {
    transactions: [BOTH],
    coordinatorCrash: true,
    prepareCopies: 2,
  }),
  configuration('two writes, a watcher, a deposed leader', {
    writes: ['a', 'x'],
    watch: true,
    terms: [2, 1],
  }),
  configuration('a transaction, a write, a watcher', { transactions: [BOTH], writes: ['x'], watch: true }),
  configuration('three shards: two writes, a watcher', { shards: 3, writes: ['c', 'x'], watch: true }),
  configuration('two writes, a snapshot of both shards, oracle failover, a deposed leader', {
    writes: ['a', 'x'],
    reads: [snapshot('a', 'x')],
    oracleFailover: true,
    terms: [2, 1],
  }),
  configuration('two writes, a watcher, oracle failover', {
    writes: ['a', 'x'],
    watch: true,
    oracleFailover: true,
  }),
  configuration('two writes of a key, a read at a follower, tails that are lost', {
    writes: ['a', 'a'],
    reads: [follower('a')],
    tails: true,
    terms: [2, 1],
  }),
  configuration('dense mode ends, two writes, a dense read, a deposed leader', {
    writes: ['a', 'x'],
    reads: [{ kind: 'dense', keys: ['a'] }],
    dense: true,
    terms: [2, 1],
  }),
  configuration('two transactions, a snapshot', {
    transactions: [BOTH, BOTH],
    reads: [snapshot('a')],
    mustFinish: true,
  }),
  configuration('a transaction, its coordinator dies, ends come twice, a deposed leader', {
    transactions: [BOTH],
    coordinatorCrash: true,
    endCopies: 2,
    terms: [1, 2],
  }),
]

/**
 * Too large to be explored to the end: `npm run model -- --vast` looks at the shortest ways into them, which proves nothing.
 * What is in each of them together is closed in smaller groups above and in `configurations.ts`.
 */
export const VAST: readonly Configuration[] = [
  configuration('a session’s write elsewhere, sent twice, its lease ends', {
    writes: [END_LEASE],
    transactions: [sessionWriteOver('x'), sessionWriteOver('x')],
  }),
  configuration('a session’s write elsewhere, sent twice, coordinators die', {
    transactions: [sessionWriteOver('x'), sessionWriteOver('x')],
    coordinatorCrash: true,
  }),
  configuration('a lease with a key elsewhere, it ends, coordinators die', {
    transactions: [attachOver('x'), END_LEASE_OVER],
    coordinatorCrash: true,
  }),
  configuration('a lease with a key elsewhere, a key is attached there, it ends, deposed leaders', {
    attached: ['x'],
    transactions: [attachOver('y'), END_LEASE_OVER],
    terms: [2, 2],
  }),
  configuration('three shards: three writes, a watcher', {
    shards: 3,
    writes: ['a', 'c', 'x'],
    watch: true,
  }),
  configuration('a transaction, a split, its coordinator dies', {
    transactions: [transaction(['c', 'x'])],
    splits: [split('b')],
    coordinatorCrash: true,
  }),
  configuration('three writes, a snapshot of both shards, oracle failover, a deposed leader', {
    writes: ['a', 'a', 'x'],
    reads: [snapshot('a', 'x')],
    oracleFailover: true,
    terms: [2, 1],
  }),
  configuration('three writes, a watcher, oracle failover, a deposed leader', {
    writes: ['a', 'a', 'x'],
    watch: true,
    oracleFailover: true,
    terms: [2, 1],
  }),
  configuration('two writes, reads at a follower, tails that are lost', {
    writes: ['a', 'a'],
    reads: [follower('a')],
    tails: true,
    terms: [3, 1],
  }),
  configuration('a transaction, a write, a snapshot, coordinator dies, oracle failover', {
    transactions: [BOTH],
    writes: ['a'],
    reads: [snapshot('a', 'x')],
    coordinatorCrash: true,
    oracleFailover: true,
  }),
  configuration('a transaction, its coordinator dies, everything comes twice, deposed leaders', {
    transactions: [BOTH],
    coordinatorCrash: true,
    prepareCopies: 2,
    endCopies: 2,
    terms: [2, 2],
  }),
  configuration('two transactions, their coordinators die', {
    transactions: [BOTH, BOTH],
    coordinatorCrash: true,
  }),
  configuration('two transactions, a write, a snapshot', {
    transactions: [BOTH, BOTH],
    writes: ['a'],
    reads: [snapshot('a', 'x')],
    mustFinish: true,
  }),
  configuration('a transaction, two writes, a watcher that trusts its log, a deposed leader', {
    transactions: [BOTH],
    writes: ['c', 'y'],
    watch: true,
    watchByLog: true,
    terms: [2, 1],
  }),
  configuration('two transactions, a write, a watcher that trusts its log', {
    transactions: [BOTH, BOTH],
    writes: ['c'],
    watch: true,
    watchByLog: true,
  }),
  configuration('two writes, a split, a watcher', { writes: ['c', 'x'], watch: true, splits: [split('b')] }),
  configuration('three writes on both sides, a split, a watcher', {
    writes: ['a', 'c', 'x'],
    watch: true,
    splits: [split('b')],
  }),
  configuration('a transaction, a write, a split, a watcher, its coordinator dies', {
    transactions: [transaction(['c', 'x'])],
    writes: ['c'],
    watch: true,
    splits: [split('b')],
    coordinatorCrash: true,
  }),
  configuration('dense mode ends, three writes, a dense read, a deposed leader', {
    writes: ['a', 'a', 'x'],
    reads: [{ kind: 'dense', keys: ['a'] }],
    dense: true,
    terms: [2, 1],
  }),
  configuration('two writes, one on each half, a split, a watcher', {
    writes: ['c', 'a'],
    watch: true,
    splits: [split('b')],
  }),
  configuration('a transaction, a watcher, its coordinator dies', {
    transactions: [BOTH],
    watch: true,
    coordinatorCrash: true,
  }),
  configuration('a transaction, a write, a watcher that trusts its log, a deposed leader', {
    transactions: [BOTH],
    writes: ['c'],
    watch: true,
    watchByLog: true,
    terms: [2, 1],
  }),
]
