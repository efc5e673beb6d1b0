import { type ByteReader, type ByteWriter, MalformedError } from './codec.js'
import { ok, refuse, type ErrorCode, type Outcome, type Result } from './errors.js'
import type { Revision } from './ids.js'

/** The answer to a write of a session, as it is kept until the client says that it has it. */
export interface KeptReply {
  /** What the answer's header said. */
  readonly revision: Revision
  /** The encoded Reply, or the refusal. */
  readonly result: Result<Uint8Array>
}

const OUTCOMES: readonly Outcome[] = ['notApplied', 'applied', 'unknown']

export function writeKeptReply(out: ByteWriter, { revision, result }: KeptReply): ByteWriter {
  out.varint(revision).bool(result.ok)
  if (result.ok) return out.bytes(result.value)
  const { code, outcome, detail, compactRevision } = result.error
  return out
    .text(code)
    .u8(OUTCOMES.indexOf(outcome))
    .text(detail ?? '')
    .varint(compactRevision ?? 0)
}

export const readKeptReply = (input: ByteReader): KeptReply => ({
  revision: input.varint(),
  result: readResult(input),
})

function readResult(input: ByteReader): Result<Uint8Array> {
  // The bytes that are read may be a log's or a store's; what is kept is not.
  if (input.bool()) return ok(Buffer.from(input.bytes()))
  // The codes are names that this version, or one before it, wrote itself.
  const code = input.text() as ErrorCode
  const outcome = OUTCOMES[input.u8()]
  if (outcome === undefined) throw new MalformedError('an outcome is not known')
  const detail = input.text()
  const compactRevision = input.varint()
  return refuse(code, {
    outcome,
    ...(detail === '' ? {} : { detail }),
    ...(compactRevision === 0 ? {} : { compactRevision }),
  })
}
