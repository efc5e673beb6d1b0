import type {
  GroupId,
  Judgement,
  KeptReply,
  KeyRange,
  KvError,
  Incarnation,
  Index,
  LeaseId,
  Millis,
  Op,
  OpReply,
  Revision,
  SessionTag,
  Term,
  TransactionAge,
} from '@kvorum/model'
import type { Coordinator } from '@kvorum/placement'
import type { Call } from '../calls.js'
import type { Turn } from '../state.js'

/** What this node does as a coordinator; all of it dies with the process (see orphans.ts). */
export interface TransactionDuty {
  readonly coordinator: Incarnation
  nextSequence: number
  /** Tries that are not over, by sequence, in ascending order. */
  readonly running: Map<number, Running>
  /** To be done again, after a while. */
  waiting: readonly { readonly due: Millis; readonly run: (turn: Turn) => void }[]
}

/** What a client asked for, or a lease whose time is up; it may take several tries. */
export interface ClientTransaction {
  readonly call: Call
  readonly task: Task
  /** Of the first try; null before it. */
  age: TransactionAge | null
  tries: number
}

export type Task =
  /** `session`: which write of a session it is; null: of none. */
  | { readonly kind: 'op'; readonly op: Op; readonly session: SessionTag | null }
  /** The end of a lease, by this node as the leader of its home, in this term. */
  | { readonly kind: 'revoke'; readonly lease: LeaseId; readonly home: GroupId; readonly term: Term }

/** One try. */
export interface Running {
  readonly work: ClientTransaction
  coordinator: Coordinator
  /** By group; the groups in the order of their keys. */
  readonly parts: ReadonlyMap<GroupId, RunningPart>
  readonly since: Millis
  /** What the operation comes to, known when all have voted and the revision is there. */
  chosen: { readonly branches: readonly boolean[]; readonly revision: Revision } | null
  /** Why the client is refused although every shard prepared; null: it is not. */
  refused: KvError | null
  /** What the session's home said of the write instead of preparing it; null: nothing. */
  known: KeptReply | null
  /** The client has been answered, or gets its answer from a later try. */
  answered: boolean
}

export interface RunningPart {
  readonly group: GroupId
  /** Where it lies; all in the shard, as it was when it prepared. */
  readonly ranges: readonly KeyRange[]
  /** The encoded prepare. */
  readonly prepare: Uint8Array
  readonly work: Uint8Array
  judgement: Judgement | null
  /** Where the prepare stands in the group's log. */
  index: Index
  answers: readonly (OpReply | null)[] | null
}

export const createTransactionDuty = (coordinator: Incarnation, first: number): TransactionDuty => ({
  coordinator,
  nextSequence: first,
  running: new Map(),
  waiting: [],
})
