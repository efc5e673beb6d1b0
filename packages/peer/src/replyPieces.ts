import { LIMITS, MalformedError, type Revision, type Term } from '@kvorum/model'
import type { Parcel } from './types.js'

/**
 * A large answer travels in pieces, on the bulk lane, one at a time: it needs no frame of its size, fills no queue, and
 * holds up neither heartbeats nor other answers.
 *
 *     reply --> PieceQueue --> a piece, when the one before it has left --> PieceGatherer --> reply
 */
export interface ReplyPiece {
  readonly kind: 'replyPiece'
  readonly id: number
  readonly revision: Revision
  readonly term: Term
  /** Bytes of the whole answer's body, and where in it this piece lies. */
  readonly total: number
  readonly from: number
  readonly bytes: Uint8Array
}

type Reply = Extract<Parcel, { kind: 'reply' }>
type LargeReply = Reply & { readonly result: { readonly ok: true } }

export const isLarge = (parcel: Parcel): parcel is LargeReply =>
  parcel.kind === 'reply' && parcel.result.ok && parcel.result.value.body.length > LIMITS.wholeReplyBytesMax

/** What its charge may come to, and what the encoding adds to it. */
const TOTAL_BYTES_MAX = LIMITS.responseBytesMax + LIMITS.frameBytesMax

/** Answers that leave in pieces, in their order. */
export class PieceQueue {
  #replies: LargeReply[] = []
  #bytes = 0
  /** Of the first answer: what has left. */
  #left = 0

  /** False: it cannot be sent, or too much waits already. */
  add(reply: LargeReply): boolean {
    const { length } = reply.result.value.body
    if (length > TOTAL_BYTES_MAX) return false
    if (this.#replies.length > 0 && this.#bytes + length > LIMITS.largeRepliesBytesMax) return false
    this.#replies.push(reply)
    this.#bytes += length
    return true
  }

  next(): ReplyPiece | null {
    const [reply] = this.#replies
    if (reply === undefined) return null
    const { header, body } = reply.result.value
    const from = this.#left
    const bytes = body.subarray(from, from + LIMITS.replyPieceBytes)
    this.#left += bytes.length
    if (this.#left === body.length) {
      this.#replies.shift()
      this.#bytes -= body.length
      this.#left = 0
    }
    return { kind: 'replyPiece', id: reply.id, ...header, total: body.length, from, bytes }
  }

  /** Forgets them, and says what it forgets. */
  clear(): readonly Parcel[] {
    const replies = this.#replies
    this.#replies = []
    this.#bytes = 0
    this.#left = 0
    return replies
  }
}

/** Puts the pieces that come over one connection together again. */
export class PieceGatherer {
  #whole: Buffer | null = null
  #first: ReplyPiece | null = null
  #bytes = 0

  /** The answer, when this was its last piece. Throws MalformedError when it does not follow on the one before. */
  take(piece: ReplyPiece): Parcel | null {
    const { id, total, from, bytes } = piece
    if (from === 0) this.#begin(piece)
    const fits = from === this.#bytes && bytes.length > 0 && from + bytes.length <= total
    if (this.#whole === null || this.#first?.id !== id || this.#first.total !== total || !fits)
      throw new MalformedError('a piece of an answer that does not follow on the one before')
    this.#whole.set(bytes, from)
    this.#bytes += bytes.length
    if (this.#bytes < total) return null
    const { revision, term } = this.#first
    const body = this.#whole
    this.#whole = this.#first = null
    this.#bytes = 0
    return { kind: 'reply', id, result: { ok: true, value: { header: { revision, term }, body } } }
  }

  #begin(piece: ReplyPiece): void {
    const { total } = piece
    if (this.#first !== null || total > TOTAL_BYTES_MAX)
      throw new MalformedError('pieces of an answer that is too large, or within another')
    this.#first = piece
    // Of what is only claimed the system gives no memory before it is written to.
    this.#whole = Buffer.allocUnsafeSlow(total)
  }
}
