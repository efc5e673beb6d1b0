/**
 * The consensus core: one replica of one Raft group, as a record and functions.
 *
 *       clock, peers, disk, clients                      disk, peers, state machine, clients
 *                 |                                                    ^
 *                 |  step, propose, readIndex, ...                     |  takeReady, committedEntries
 *                 v                                                    |
 *     step.ts -> election.ts  follower.ts  answers.ts  storing.ts -> outbox.ts, ready.ts
 *                     \           |           /
 *                      roles.ts  log.ts  commit.ts  replication.ts  reads.ts
 *
 * The owner's duties, in this order, once per turn: `step` what came in; `takeReady`; send `sendNow`; write and
 * sync `persist`, then send `sendAfterPersist` and step `persisted`; apply `committedEntries` and step `applied`;
 * tick when `nextDue` has come.
 */
export { answerHeartbeat, noteHeartbeatReply } from './beats.js'
export { committedEntries, peekCommitted } from './fetch.js'
export { configAt } from './history.js'
export { decodeConfig, encodeConfig } from './config.js'
export { createRaft } from './create.js'
export { checkInvariants } from './invariants.js'
export { termAt } from './log.js'
export { enterJoint, isJoint, isMember, isVoter, leaveJoint } from './membership.js'
export type { Progress } from './progress.js'
export { propose, proposeConfig } from './proposals.js'
export type { Proposal } from './proposals.js'
export { committedIndex, hasQuorum, majority, voteResult } from './quorum.js'
export type { VoteResult } from './quorum.js'
export type { Raft } from './raft.js'
export { readIndex } from './reads.js'
export { hasReady, takeMessages, takeReady } from './ready.js'
export { step } from './step.js'
export { purgeLog } from './storing.js'
export { nextDue } from './timers.js'
export { isReadyToVote, transferLeadership } from './transfer.js'
export type * from './types.js'
