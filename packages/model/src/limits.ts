/**
 * Every bound in one place: what may be queued, cached or sent, and what breaks without it. Values that an
 * operator can change are the defaults of flags. Relations between bounds are asserted at the end.
 */
import { assert } from './assert.js'

const KiB = 1024
const MiB = 1024 * KiB

export const LIMITS = {
  /** Largest client request after decoding (etcd: --max-request-bytes). Larger ones stall everybody behind them. */
  requestBytesMax: 1.5 * MiB,
  /** What the transport accepts beyond that, so that the refusal can be a proper answer. */
  requestOverheadBytes: 512 * KiB,
  /** Operations, or compares, in one transaction (etcd: --max-txn-ops). */
  txnOpsMax: 128,
  /** Nesting of transactions; etcd has no bound and pays with its stack. */
  txnDepthMax: 16,
  /** One answer. A client that asks for more gets a refusal that says to page. */
  responseBytesMax: 512 * MiB,
  /** One piece of a streamed answer. */
  streamPageBytes: 256 * KiB,
  /** Seconds. etcd's bound, about 285 years. */
  leaseTtlMax: 9_000_000_000,
  /** Exactly-once sessions of one shard; their replies are kept in memory. */
  sessionsMax: 10_000,
  /** Writes of one session whose answers its client has not acknowledged, and the largest answer that is kept. */
  sessionRepliesMax: 256,
  sessionReplyBytesMax: 64 * KiB,
  /** All kept answers of one shard. */
  sessionBytesMax: 32 * MiB,
  /** Leases of a cluster, each of which every member keeps in memory, its leader twice. */
  leasesMax: 200_000,
  /** Leases whose expiry is proposed per second. */
  leaseExpiriesPerSecondMax: 1000,

  /** Users, roles, and permissions of one role; all of them are one record of the meta group. */
  authUsersMax: 10_000,
  authRolesMax: 10_000,
  authPermissionsPerRoleMax: 1_000,
  /** Bytes of the name of a user or a role. */
  authNameBytesMax: 1024,
  /** Tokens that are good at a time; the oldest goes for a new one. */
  authTokensMax: 4_096,
  /** Passwords hashed at a time, and those that wait: each takes a thread and 32 MiB for a tenth of a second. */
  passwordHashesMax: 2,
  passwordQueueMax: 64,
  /** Names and addresses that gave wrong passwords and are remembered; the oldest goes for a new one. */
  loginFailuresMax: 4_096,
  /** Requests under way, and open watches, that one user may have at one member by default. */
  requestsPerUserMax: 10_000,
  watchersPerUserMax: 100_000,
  /** Grants of leases among those requests: each is an entry of the log, and what it makes stays. */
  grantsPerUserMax: 1_000,
  /** JSON Web Tokens whose signature need not be checked again. */
  verifiedTokensMax: 4_096,
  /** Audit records that wait for the disk; more are counted and lost. */
  auditQueueMax: 10_000,

  /** One append message between replicas. */
  appendBytesMax: 1 * MiB,
  /** Appended but unacknowledged bytes and messages per follower. */
  inflightBytesMax: 16 * MiB,
  inflightAppendsMax: 256,
  /** Recent log entries a group keeps in memory for its followers. */
  raftCacheBytesMax: 4 * MiB,
  /** From so many groups on, a node's heartbeats of all of them are taken at one time and travel in one message... */
  sharedBeatGroupsMin: 16,
  /** ...of so many at most. */
  heartbeatsPerMessageMax: 4_096,
  /** Configurations of groups that are kept once for all groups that have the same. */
  sharedConfigsMax: 256,
  /** Elections that one turn begins without having been waited for: after a start all groups want one. */
  electionsPerTurnMax: 64,
  /** Proposed but uncommitted bytes of one group before proposals are refused. */
  uncommittedBytesMax: 64 * MiB,
  /** Requests of clients waiting in one node. */
  pendingRequestsMax: 20_000,
  /** Steps of a group's log, by which waiting proposals learn since when they are committed; else they grow while
   * applying waits for the store. */
  stageMarksMax: 1_024,
  /** Calls of lock and election services that wait for their turn; each holds a watch. */
  waitingCallsMax: 10_000,
  /** Requests, messages and completions of one turn, and bytes of committed entries that it applies; the next takes
   * the rest. A turn is to end well before 20 ms. */
  turnInputsMax: 128,
  turnApplyBytesMax: 192 * KiB,
  /** Long turns, and pauses of the garbage collector, until it is known which fell into which. */
  longTurnsMax: 256,
  /** Committed entries handed to the state machine at a time. */
  applyBytesMax: 64 * KiB,
  /** Rows and bytes of one page of a state store scan; a step of a long command works on one page. */
  pageRowsMax: 128,
  pageBytesMax: 256 * KiB,
  /**
   * A command that writes more rows or bytes than this is long: it leaves memory before it is complete, and nobody
   * sees any of it before a second entry of the log publishes it. Part of the replicated behaviour: the same on all
   * replicas.
   */
  longCommandRows: 2_048,
  longCommandBytes: 4 * MiB,
  /** Writes kept in memory in front of the state store; beyond it applying waits for the disk. */
  overlayBytesMax: 16 * MiB,
  /** A background batch of the state store is written when this much has gathered, or after `flushAfterMs`. */
  flushBytes: 1 * MiB,
  flushAfterMs: 200,
  /** Recent events kept for watchers that are nearly up to date, per shard. */
  recentEventsBytesMax: 4 * MiB,

  /** Writes that one question to the oracle asks revisions for; the others are in the next one. */
  revisionsPerAskMax: 4_096,
  /** Revisions that one write of the meta group's log lets the oracle hand out; as many may be left out after it. */
  oracleWindow: 10_000,

  /** Milliseconds after which a shard that is followed says how far it is, also where nothing has happened. */
  followMs: 1_000,
  /** Questions of other nodes that wait for one shard; each node has two under way at most. */
  followsPerShardMax: 1_024,

  /** Shards of a cluster, and operations on shards that are under way. */
  shardsMax: 4_096,
  shardOperationsMax: 64,
  /** Shards that a cluster comes to have by itself, and splits that it begins by itself and that are under way. */
  automaticShardsMax: 1_024,
  automaticSplitsMax: 2,
  /** Shards whose leaders are asked for at a time, for a list of them. */
  leadersAskedMax: 2_048,
  /** Keys of requests that are kept of one shard until it is told where its requests lie. */
  sampledKeysMax: 256,
  /** Bytes of a key that a shard may be split at by itself: longer ones are cut off. */
  middleKeyBytesMax: 1_024,
  /** Votes asked for groups that are not here yet: of one group, and groups. */
  earlyVotesMax: 16,
  earlyGroupsMax: 64,
  /** Transactions over several shards that one node coordinates at a time. */
  transactionsMax: 1_024,
  /** What one shard has prepared: all of it is one row, written with every prepare and end. */
  preparedMax: 1_024,
  preparedBytesMax: 8 * MiB,

  /** Replicas of shards that one node may hold: each costs memory, timers and a share of every heartbeat. */
  shardsPerNodeMax: 2_048,
  /** Replicas of one shard: each is one more copy that its leader feeds. */
  replicasPerShardMax: 7,
  /** Alarms that may be up at once; each is a line of the meta group's state. */
  alarmsMax: 256,
  /** Hashes of the whole store that one node computes at a time; each holds a view of the store open. */
  hashesMax: 4,
  /** Milliseconds that another member's hash is waited for: it reads everything it has. */
  hashMsMax: 600_000,
  /** The same for a check at the start, which keeps clients waiting: at first, and twice as long each time it passes. */
  startHashMs: 5_000,
  /** Milliseconds that somebody waits for all shards here to be where they have to be: a snapshot file, a watch. */
  standMsMax: 30_000,
  /** Revisions that are remembered with their times for automatic compaction; for longer times they lie further apart. */
  compactionNotesMax: 20_000,

  /** Bytes of one write-ahead log segment. */
  segmentBytes: 64 * MiB,
  /** Kept free on disk so that votes, hard states and purging still fit when it is full. */
  reserveBytes: 8 * MiB,
  /** Applied entries kept behind the newest purgeable index, so that a follower that is a little late needs no snapshot. */
  catchUpEntries: 5_000,
  /** And no more bytes of them than this, however large the entries are. */
  catchUpBytes: 64 * MiB,
  /** Purgeable bytes that are worth a sync of the state store to be rid of. */
  snapshotBytes: 64 * MiB,

  /** A frame between nodes. */
  frameBytesMax: 64 * MiB,
  /** Bytes queued to one peer; beyond it raft messages are dropped (raft repeats them) and requests refused. */
  peerQueueBytesMax: 64 * MiB,
  /** A larger answer of another node's travels in pieces of this size... */
  wholeReplyBytesMax: 16 * MiB,
  replyPieceBytes: 1 * MiB,
  /** ...and of all that leave for one peer in pieces no more than this waits, beside one of any size. */
  largeRepliesBytesMax: 512 * MiB,
  /** Peer URLs that a node says of itself, and characters of each: they are dialled besides those of the log. */
  peerUrlsSaidMax: 8,
  peerUrlCharactersMax: 512,
  /** One chunk of a snapshot, and chunks the receiver allows in flight. */
  snapshotChunkBytes: 1 * MiB,
  snapshotCreditChunks: 4,
  /** Snapshot files of clients at a time: each takes the room of the data on disk until it has been fetched. */
  snapshotsMax: 2,

  /** Watch responses waiting for one slow client before its watches are cancelled... */
  watchQueueBytesMax: 16 * MiB,
  /** ...and watchers on one stream. */
  watchersPerStreamMax: 10_000,

  /** TLS handshakes under way on a client listener and on a peer listener; beyond it the oldest is given up. */
  handshakesMax: 1_024,
  peerHandshakesMax: 256,
  /** Client connections of one node, and calls open on one of them. */
  connectionsMax: 20_000,
  /** Of those, from one remote address: no single machine takes all places. */
  connectionsPerHostMax: 10_000,
  streamsPerConnectionMax: 10_000,
  /** Requests of one keep-alive stream under way at a time; beyond it the stream is not read. */
  streamRequestsMax: 128,
} as const

assert(LIMITS.appendBytesMax <= LIMITS.inflightBytesMax, () => 'one append must fit the window')
assert(
  LIMITS.requestBytesMax + LIMITS.requestOverheadBytes < LIMITS.frameBytesMax,
  () => 'a forwarded request must fit a frame',
)
assert(LIMITS.wholeReplyBytesMax < LIMITS.frameBytesMax, () => 'an answer in one piece must fit a frame')
assert(LIMITS.inflightBytesMax <= LIMITS.peerQueueBytesMax, () => 'a full window must fit the queue')
assert(LIMITS.pageBytesMax < LIMITS.overlayBytesMax, () => 'a step must fit the overlay')
assert(LIMITS.longCommandBytes > 2 * LIMITS.requestBytesMax, () => 'a put that replaces its like is not long')
assert(
  2 * LIMITS.longCommandBytes < LIMITS.overlayBytesMax,
  () => 'a command that is not long fits the overlay',
)
assert(LIMITS.txnDepthMax < 64, () => 'the decoder must accept what the edge accepts')
