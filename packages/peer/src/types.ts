import type { PeerMessage } from '@kvorum/model'
import type { Message } from '@kvorum/raft'

/** What travels between nodes, with raft's own messages in it. */
export type Parcel = PeerMessage<Message>
