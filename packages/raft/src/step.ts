import { unreachable } from '@kvorum/model'
import { onAppendReply, onHeartbeatReply, onSnapshotSent, onUnreachable } from './answers.js'
import { countVote, isSticky, onPreVote, onVote, startCampaign } from './election.js'
import { onFetched } from './fetch.js'
import { followLeader, onAppend, onHeartbeat, onSnapshot, onTimeoutNow } from './follower.js'
import { checkInvariants } from './invariants.js'
import { send } from './outbox.js'
import type { Raft } from './raft.js'
import { onReadIndex, onReadIndexReply } from './reads.js'
import { becomeFollower } from './roles.js'
import { onApplied, onInstalled, onPersisted, onStateLost } from './storing.js'
import { onTick } from './timers.js'
import type { Message, MessageKind, RaftEvent, Role } from './types.js'

/** The door of the protocol: one event changes the record; what follows from it waits in the record. */
export function step(raft: Raft, event: RaftEvent): void {
  if ('now' in event) raft.now = Math.max(raft.now, event.now)
  take(raft, event)
  checkInvariants(raft)
}

function take(raft: Raft, event: RaftEvent): void {
  switch (event.kind) {
    case 'tick':
      return onTick(raft)
    case 'receive':
      return receive(raft, event.message)
    case 'persisted':
      return onPersisted(raft)
    case 'applied':
      return onApplied(raft, event.index)
    case 'fetched':
      return onFetched(raft, event.entries)
    case 'installed':
      return onInstalled(raft, event.base, event.config)
    case 'snapshotSent':
      return onSnapshotSent(raft, event.to, event.ok)
    case 'unreachable':
      return onUnreachable(raft, event.to)
    case 'stateLost':
      return onStateLost(raft)
    case 'admitted':
      raft.mayVote = true
      return
    case 'campaign':
      return startCampaign(raft)
    default:
      return unreachable(event)
  }
}

type Handler<Kind extends MessageKind> = (raft: Raft, message: Extract<Message, { kind: Kind }>) => void
type Handlers = { readonly [Kind in MessageKind]: Handler<Kind> }

/** Late, repeated, or for another role: our state has moved on. */
const ignore = (): void => {}

/** Messages of our own term whose effect does not depend on the role. */
const always = { preVote: onPreVote, vote: onVote, readIndex: onReadIndex, readIndexReply: onReadIndexReply }
const fromLeader = { append: onAppend, heartbeat: onHeartbeat, snapshot: onSnapshot }
const fromFollower = { appendReply: ignore, heartbeatReply: ignore }

const onVoteReply: Handler<'voteReply'> = (raft, { from, granted }) => countVote(raft, from, granted)

/** A grant names the term it was asked about: one of an earlier campaign does not count. */
const onPreVoteReply: Handler<'preVoteReply'> = (raft, { from, term, granted }) => {
  if (!granted || term === raft.term + 1) countVote(raft, from, granted)
}

/** Two leaders in one term: followLeader refuses to go on. */
const rival = (raft: Raft, { from }: Message): void => followLeader(raft, from)

/** Role by kind, for messages of our own term. A missing case does not compile. */
const handlers: { readonly [Of in Role]: Handlers } = {
  follower: {
    ...always,
    ...fromLeader,
    ...fromFollower,
    preVoteReply: ignore,
    voteReply: ignore,
    timeoutNow: onTimeoutNow,
  },
  preCandidate: {
    ...always,
    ...fromLeader,
    ...fromFollower,
    preVoteReply: onPreVoteReply,
    voteReply: ignore,
    timeoutNow: ignore,
  },
  candidate: {
    ...always,
    ...fromLeader,
    ...fromFollower,
    preVoteReply: ignore,
    voteReply: onVoteReply,
    timeoutNow: ignore,
  },
  leader: {
    ...always,
    append: rival,
    heartbeat: rival,
    snapshot: rival,
    appendReply: onAppendReply,
    heartbeatReply: onHeartbeatReply,
    preVoteReply: ignore,
    voteReply: ignore,
    timeoutNow: ignore,
  },
}

function receive(raft: Raft, message: Message): void {
  if (message.to !== raft.id || message.from === raft.id) return
  if (!admitTerm(raft, message)) return
  const handler = handlers[raft.role][message.kind] as (raft: Raft, message: Message) => void
  handler(raft, message)
}

/** Paper 5.1, with the exceptions of thesis 4.2.3 and 9.6. Whether the message is to be handled in our term. */
function admitTerm(raft: Raft, message: Message): boolean {
  const { kind, from, term } = message
  const asks = kind === 'preVote' || (kind === 'vote' && !message.transfer)
  if (term > raft.term) {
    if (asks && isSticky(raft)) return false
    // A pre-vote speaks of a term that nobody has entered.
    if (kind === 'preVote') return true
    if (kind === 'preVoteReply' && message.granted) return term === raft.term + 1
    const leads = kind === 'append' || kind === 'heartbeat' || kind === 'snapshot'
    // Who was removed may have any term; a leader it cannot know of does not step down for it.
    if (raft.role === 'leader' && !leads && !raft.progress.has(from)) return false
    becomeFollower(raft, term, leads ? from : (0 as typeof from))
    return true
  }
  if (term === raft.term) return true
  answerOld(raft, message)
  return false
}

/**
 * The sender lives in an earlier term, or the message does. One who still leads there must learn ours: we may be a
 * member that it can neither reach nor win back otherwise (etcd issue 8501). So must one who asks for votes.
 */
function answerOld(raft: Raft, { kind, from }: Message): void {
  if (kind === 'preVote') send(raft, from, { kind: 'preVoteReply', granted: false })
  else if (kind === 'vote') send(raft, from, { kind: 'voteReply', granted: false })
  else if (kind === 'append' || kind === 'heartbeat' || kind === 'snapshot')
    send(raft, from, { kind: 'heartbeatReply', round: 0, needSnapshot: raft.lost })
}
