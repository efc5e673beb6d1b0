import type { ClusterId, NodeId } from '@kvorum/model'
import type { DiskFile, DiskOp } from '../disk.js'
import {
  decodeSegmentHeader,
  RESERVE_FILE,
  SEGMENT_HEADER_BYTES,
  segmentNumber,
  TEMPORARY_SUFFIX,
} from './format.js'
import type { LogIdentity, SegmentHeader } from './format.js'
import { finding } from './recoveryTable.js'
import type { Finding } from './recoveryTable.js'
import { LOG_OPTIONS } from './state.js'

/** Whose log it must be; null accepts any (and says in `log.identity` whose it is). */
export type Expected = { readonly clusterId: ClusterId; readonly nodeId: NodeId } | null

export interface ReadRequest {
  readonly file: string
  readonly offset: number
  readonly length: number
}

/** Yields what must be read, is told its bytes. */
export type Steps<Value> = Generator<ReadRequest, Value, Uint8Array>

export interface Segment {
  readonly number: number
  readonly file: string
  readonly bytes: number
  readonly header: SegmentHeader | null
}

/** A log's directory from outside: its files, and the headers of its segments. */
export interface Directory {
  readonly segments: readonly Segment[]
  readonly reserve: boolean
  readonly repairs: DiskOp[]
  readonly findings: Finding[]
}

/** The directory is not opened, and nothing in it is changed. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly finding: Finding
  constructor(found: Finding) {
    super(found.detail)
    this.finding = found
  }
}

/** Sorts the files and reads the segments' headers. */
export function* readDirectory(
  files: readonly DiskFile[],
  findings: Finding[],
  reserveBytes = LOG_OPTIONS.reserveBytes,
): Steps<Directory> {
  const segments: Segment[] = []
  const repairs: DiskOp[] = []
  let reserve = false
  for (const { name, bytes } of files) {
    const number = segmentNumber(name)
    if (number !== null) {
      const head = yield { file: name, offset: 0, length: SEGMENT_HEADER_BYTES }
      segments.push({ number, file: name, bytes, header: readHeader(head, name, number) })
    } else if (name === RESERVE_FILE && bytes === reserveBytes) {
      reserve = true
    } else if (name === RESERVE_FILE || name.endsWith(TEMPORARY_SUFFIX)) {
      repairs.push({ kind: 'remove', file: name })
      findings.push(finding(name === RESERVE_FILE ? 'partialReserve' : 'temporaryFile', name, 0, ''))
    } else {
      findings.push(finding('foreignFile', name, 0, ''))
    }
  }
  segments.sort((a, b) => a.number - b.number)
  return { segments, reserve, repairs, findings }
}

function readHeader(head: Uint8Array, file: string, number: number): SegmentHeader | null {
  const read = decodeSegmentHeader(head)
  if (read.kind === 'unknownFormat')
    throw new RefusedError(finding('unknownFormat', file, 0, `format ${read.format} in ${file}`))
  if (read.kind === 'damaged') return null
  if (read.header.segment !== number)
    throw new RefusedError(
      finding('mixedSegments', file, 0, `${file} says that it is segment ${read.header.segment}`),
    )
  return read.header
}

export function identityOf(segments: readonly Segment[], expected: Expected): LogIdentity | null {
  let identity: LogIdentity | null = null
  for (const { header, file } of segments) {
    if (header === null) continue
    identity ??= header.identity
    const { clusterId, nodeId, incarnation } = header.identity
    if (
      clusterId !== identity.clusterId ||
      nodeId !== identity.nodeId ||
      incarnation !== identity.incarnation
    )
      throw new RefusedError(finding('mixedSegments', file, 0, file))
  }
  if (identity === null || expected === null) return identity
  if (identity.clusterId !== expected.clusterId)
    throw new RefusedError(
      finding('otherCluster', '', 0, `cluster ${hex(identity.clusterId)}, not ${hex(expected.clusterId)}`),
    )
  if (identity.nodeId !== expected.nodeId)
    throw new RefusedError(
      finding('otherNode', '', 0, `node ${hex(identity.nodeId)}, not ${hex(expected.nodeId)}`),
    )
  return identity
}

const hex = (id: bigint): string => id.toString(16)

/** No header can be read: a new directory whose first segment was being made, unless something follows a header. */
export function* onlyUnused(directory: Directory): Steps<Directory> {
  const { segments, repairs, findings } = directory
  for (const { file, bytes } of segments) {
    const rest = yield {
      file,
      offset: SEGMENT_HEADER_BYTES,
      length: Math.max(0, bytes - SEGMENT_HEADER_BYTES),
    }
    if (segments.length > 1 || rest.some(byte => byte !== 0))
      throw new RefusedError(finding('headersDamaged', file, 0, file))
    repairs.push({ kind: 'remove', file })
    findings.push(finding('unusedSegment', file, 0, ''))
  }
  repairs.push({ kind: 'syncDirectory' })
  return directory
}
