import {
  clusterId,
  groupId,
  incarnation,
  leaseId,
  nodeId,
  pointRange,
  refuse,
  replicaId,
  utf8,
} from '@kvorum/model'
import type { Parcel } from '@kvorum/peer'

const from = { from: replicaId(1), to: replicaId(2), term: 7 }
const config = {
  voters: [1, 2, 3].map(replicaId),
  outgoing: [replicaId(1)],
  learners: [replicaId(4)],
  learnersNext: [replicaId(1)],
  replicas: [{ id: replicaId(1), node: nodeId(2n ** 63n + 5n) }],
}
const identity = { incarnation: incarnation(2n ** 64n - 1n), boot: 3, nonce: 12n }
const raft = (message: Extract<Parcel, { kind: 'raft' }>['message']): Parcel => ({
  kind: 'raft',
  group: groupId(1),
  message,
})

/** What the golden file holds as bytes; the names are its first column. */
export const GOLDEN_PARCELS: Record<string, readonly Parcel[]> = {
  preVote: [raft({ ...from, kind: 'preVote', lastIndex: 2 ** 40, lastTerm: 6 })],
  preVoteReply: [raft({ ...from, kind: 'preVoteReply', granted: true })],
  vote: [raft({ ...from, kind: 'vote', lastIndex: 5, lastTerm: 6, transfer: false })],
  voteReply: [raft({ ...from, kind: 'voteReply', granted: false })],
  append: [
    raft({
      ...from,
      kind: 'append',
      prevIndex: 8,
      prevTerm: 6,
      commit: 4,
      entries: [
        { index: 9, term: 7, kind: 'noop', time: 1_700_000_000_000, data: new Uint8Array(0) },
        { index: 10, term: 7, kind: 'normal', time: 1_700_000_000_001, data: utf8('command') },
        { index: 11, term: 7, kind: 'config', time: 1_700_000_000_001, data: Uint8Array.of(1, 2, 3) },
      ],
    }),
  ],
  appendReply: [raft({ ...from, kind: 'appendReply', prevIndex: 8, rejected: false, match: 11 })],
  appendRejected: [
    raft({
      ...from,
      kind: 'appendReply',
      prevIndex: 8,
      rejected: true,
      hintIndex: 5,
      hintTerm: 2,
      needSnapshot: true,
    }),
  ],
  heartbeat: [raft({ ...from, kind: 'heartbeat', commit: 4, round: 300 })],
  heartbeatReply: [raft({ ...from, kind: 'heartbeatReply', round: 300, needSnapshot: false })],
  snapshot: [raft({ ...from, kind: 'snapshot', index: 70_000, snapshotTerm: 6, config })],
  readIndex: [raft({ ...from, kind: 'readIndex', context: 2 ** 33 })],
  readIndexReply: [raft({ ...from, kind: 'readIndexReply', context: 2 ** 33, index: 12 })],
  readIndexRefused: [raft({ ...from, kind: 'readIndexReply', context: 1, index: null })],
  timeoutNow: [raft({ ...from, kind: 'timeoutNow' })],
  hello: [{ kind: 'hello', cluster: clusterId(2n ** 63n), node: nodeId(1n), identity, peerUrls: [] }],
  welcome: [{ kind: 'welcome', identity }],
  refused: [{ kind: 'refused', reason: 'copiedDirectory', identity }],
  write: [
    {
      kind: 'request',
      id: 1,
      group: groupId(1),
      request: {
        kind: 'write',
        ranges: [pointRange(utf8('a')), { start: utf8('b'), end: null }],
        command: utf8('c'),
      },
    },
  ],
  leases: [
    {
      kind: 'request',
      id: 1,
      group: groupId(1),
      request: { kind: 'leaseGrant', id: leaseId(-2n), ttl: 60 },
    },
    { kind: 'request', id: 2, group: groupId(1), request: { kind: 'leaseRevoke', id: leaseId(1n) } },
    { kind: 'request', id: 3, group: groupId(1), request: { kind: 'leaseKeepAlive', id: leaseId(1n) } },
    {
      kind: 'request',
      id: 4,
      group: groupId(1),
      request: { kind: 'leaseTimeToLive', id: leaseId(1n), keys: true },
    },
    { kind: 'request', id: 5, group: groupId(1), request: { kind: 'leaseList' } },
  ],
  maintenance: [
    {
      kind: 'request',
      id: 1,
      group: groupId(0),
      request: { kind: 'alarm', change: 'raise', member: nodeId(2n ** 64n - 1n), alarm: 'corrupt' },
    },
    { kind: 'request', id: 2, group: groupId(1), request: { kind: 'hashKv', revision: 300 } },
  ],
  transactions: [
    {
      kind: 'request',
      id: 4,
      group: groupId(2),
      request: { kind: 'transaction', group: groupId(2), command: Uint8Array.of(1, 50) },
    },
    {
      kind: 'request',
      id: 5,
      group: groupId(2),
      request: {
        kind: 'transactionRead',
        group: groupId(2),
        index: 300,
        revision: 7,
        branches: [true, false],
        work: Uint8Array.of(1),
        ranges: [{ start: utf8('a'), end: utf8('c') }],
      },
    },
  ],
  revisions: [
    {
      kind: 'request',
      id: 1,
      group: groupId(0),
      request: { kind: 'oracle', ask: { kind: 'alloc', count: 300 } },
    },
    { kind: 'request', id: 2, group: groupId(0), request: { kind: 'oracle', ask: { kind: 'current' } } },
    {
      kind: 'request',
      id: 3,
      group: groupId(2),
      request: { kind: 'resolve', group: groupId(2), revision: 300, ranges: [pointRange(utf8('k'))] },
    },
  ],
  histories: [
    {
      kind: 'request',
      id: 1,
      group: groupId(2),
      request: { kind: 'follow', group: groupId(2), range: { start: utf8('k'), end: null }, after: 300 },
    },
    {
      kind: 'request',
      id: 2,
      group: groupId(2),
      request: {
        kind: 'history',
        group: groupId(2),
        range: pointRange(utf8('k')),
        index: 400,
        from: 7,
        to: 300,
        prev: true,
        bytesMax: 65_536,
      },
    },
  ],
  rows: [
    {
      kind: 'request',
      id: 1,
      group: groupId(2),
      request: {
        kind: 'rows',
        group: groupId(2),
        range: { start: utf8('k'), end: null },
        index: 400,
        need: {
          gets: [utf8('row')],
          scans: [
            { gte: utf8('a'), lt: utf8('b'), reverse: false, values: true, rowsMax: 64, bytesMax: 65_536 },
          ],
        },
      },
    },
  ],
  requests: [
    {
      kind: 'request',
      id: 1,
      group: groupId(1),
      request: { kind: 'compact', revision: 9, physical: true },
    },
    { kind: 'request', id: 2, group: groupId(0), request: { kind: 'barrier' } },
    { kind: 'request', id: 3, group: groupId(0), request: { kind: 'meta', command: utf8('m') } },
    {
      kind: 'request',
      id: 4,
      group: groupId(1),
      request: {
        kind: 'read',
        op: { kind: 'txn', compares: [], success: [], failure: [] },
        serializable: false,
      },
    },
  ],
  replies: [
    {
      kind: 'reply',
      id: 1,
      result: { ok: true, value: { header: { revision: 9, term: 7 }, body: utf8('b') } },
    },
    { kind: 'reply', id: 2, result: refuse('compacted', { compactRevision: 5 }) },
    {
      kind: 'reply',
      id: 3,
      result: refuse('staleRoute', {
        outcome: 'unknown',
        detail: 'moved',
        route: { group: groupId(2), range: { start: utf8('a'), end: null }, epoch: 4 },
      }),
    },
  ],
  snapshotPull: [{ kind: 'snapshotPull', group: groupId(1), pull: 2, stream: 3, chunk: 0 }],
  snapshotChunk: [
    {
      kind: 'snapshotChunk',
      pull: 2,
      stream: 3,
      chunk: 0,
      meta: { group: groupId(1), index: 70_000, term: 6, config },
      rows: [{ key: utf8('k'), value: new Uint8Array(0) }],
      done: false,
    },
    { kind: 'snapshotChunk', pull: 2, stream: 3, chunk: 1, meta: null, rows: [], done: true },
  ],
  removed: [{ kind: 'refused', reason: 'removedMember', identity }],
  roster: [
    {
      kind: 'roster',
      roster: {
        index: 300,
        members: [
          { node: nodeId(7n), peerUrls: ['http://a:1'], incarnation: incarnation(9n), founder: true },
          { node: nodeId(8n), peerUrls: [], incarnation: incarnation(0n), founder: false },
        ],
        removed: [nodeId(2n ** 63n)],
      },
    },
  ],
  moveLeader: [
    { kind: 'request', id: 1, group: groupId(0), request: { kind: 'moveLeader', to: nodeId(7n) } },
  ],
  heartbeats: [
    {
      kind: 'heartbeats',
      beats: [
        { group: groupId(1), message: { ...from, kind: 'heartbeat', commit: 5, round: 300 } },
        {
          group: groupId(1_000),
          message: { ...from, kind: 'heartbeatReply', round: 2 ** 40, needSnapshot: false },
        },
        { group: groupId(2), message: { ...from, kind: 'heartbeatReply', round: 0, needSnapshot: true } },
      ],
    },
  ],
  leasesOfShards: [
    {
      kind: 'request',
      id: 1,
      group: groupId(2),
      request: {
        kind: 'leaseTimeToLive',
        id: leaseId(1n),
        keys: true,
        part: { group: groupId(2), ranges: [{ start: utf8('h'), end: null }] },
      },
    },
  ],
  helloWithPlace: [
    {
      kind: 'hello',
      cluster: clusterId(2n ** 63n),
      node: nodeId(1n),
      identity,
      peerUrls: ['http://[fd00::1]:2380', 'https://m.example:2380'],
    },
  ],
  loads: [
    {
      kind: 'loads',
      loads: [
        {
          group: groupId(3),
          epoch: 2,
          bytes: 300_000_000,
          bytesMiddle: utf8('m'),
          requests: 1_500,
          requestsMiddle: null,
        },
      ],
    },
  ],
}
