import { ByteReader, ByteWriter, MalformedError } from '@kvorum/model'
import { decodeAuthHead, encodeAuthHead, type AuthHead } from './auth/authState.js'
import { MEMBERSHIP_SECTION } from './members.js'
import { decodeAlarms, encodeAlarms } from './alarms.js'
import { OPERATIONS_SECTION } from './shardOperations.js'
import { HELD_LEADERS_SECTION } from './heldLeaders.js'
import type { MetaState } from './metaState.js'
import { PLACEMENT_SECTION } from './placing.js'

/**
 * Parts of the meta group's state beside nodes and shards, each with a number of its own on disk and a format of
 * its own inside. A part that has nothing to say is not written, so that a state without it looks the same as
 * before there was such a part.
 */
export interface MetaSection {
  /** On disk; never given to another part. */
  readonly tag: number
  /** Null: nothing to remember. */
  readonly encode: (state: MetaState) => Uint8Array | null
  readonly decode: (state: MetaRow, bytes: Uint8Array) => void
}

/** What one row says: of users, roles and tokens only how many there are. */
export interface MetaRow extends Omit<MetaState, 'auth'> {
  auth: AuthHead
}

/** Ascending by tag. */
const SECTIONS: readonly MetaSection[] = [
  MEMBERSHIP_SECTION,
  {
    tag: 2,
    encode: ({ auth }) => encodeAuthHead(auth),
    decode: (state, bytes) => {
      state.auth = decodeAuthHead(bytes)
    },
  },
  { tag: 3, encode: encodeAlarms, decode: decodeAlarms },
  {
    tag: 4,
    encode: ({ ceiling }) => (ceiling === null ? null : new ByteWriter().varint(ceiling).finish()),
    decode: (state, bytes) => {
      const input = new ByteReader(bytes)
      state.ceiling = input.varint()
      input.end()
    },
  },
  {
    tag: 5,
    encode: ({ compacted }) => (compacted === 0 ? null : new ByteWriter().varint(compacted).finish()),
    decode: (state, bytes) => {
      const input = new ByteReader(bytes)
      state.compacted = input.varint()
      input.end()
    },
  },
  OPERATIONS_SECTION,
  PLACEMENT_SECTION,
  HELD_LEADERS_SECTION,
]

export function writeSections(out: ByteWriter, state: MetaState): void {
  const present = SECTIONS.map(({ tag, encode }) => ({ tag, bytes: encode(state) })).filter(
    (section): section is { tag: number; bytes: Uint8Array } => section.bytes !== null,
  )
  out.varint(present.length)
  for (const { tag, bytes } of present) out.varint(tag).bytes(bytes)
}

/** A part that is not known is not skipped: what it means may matter. */
export function readSections(input: ByteReader, state: MetaRow): void {
  const count = input.varint()
  let last = -1
  for (let i = 0; i < count; i++) {
    const tag = input.varint()
    const section = SECTIONS.find(candidate => candidate.tag === tag)
    if (section === undefined || tag <= last) throw new MalformedError(`meta state part ${tag} is not known`)
    last = tag
    section.decode(state, input.bytes())
  }
}
