/**
 * One file of MemoryDisk: what reads see, what a crash leaves, and the operations between the two.
 */
export interface MemoryFile {
  /** What reads see. */
  live: Content
  /** What is on the platter for certain. */
  durable: Content
  /** Changes since the last sync, in order. */
  pending: FileChange[]
  /** Pages that a failed sync left marked clean: visible, and never written by a later sync. */
  doomed: FileChange[]
}

export type FileChange =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly length: number }

/** Bytes that grow; beyond `length` the buffer is room, always zero. */
export interface Content {
  buffer: Uint8Array
  length: number
}

export const SECTOR_BYTES = 512

export const createFile = (): MemoryFile => ({
  live: { buffer: new Uint8Array(0), length: 0 },
  durable: { buffer: new Uint8Array(0), length: 0 },
  pending: [],
  doomed: [],
})

export function change(content: Content, each: FileChange): void {
  if (each.kind === 'write') put(content, each.offset, each.bytes)
  else setLength(content, each.length)
}

function put(content: Content, offset: number, bytes: Uint8Array): void {
  const end = offset + bytes.length
  if (end > content.length) setLength(content, end)
  content.buffer.set(bytes, offset)
}

export function setLength(content: Content, length: number): void {
  if (length < content.length) content.buffer.fill(0, length, content.length)
  if (length > content.buffer.length) {
    const grown = new Uint8Array(Math.max(length, content.buffer.length * 2))
    grown.set(content.buffer.subarray(0, content.length))
    content.buffer = grown
  }
  content.length = length
}

export const copyContent = ({ buffer, length }: Content): Content => ({
  buffer: buffer.slice(0, length),
  length,
})

export const copyFile = (file: MemoryFile): MemoryFile => ({
  live: copyContent(file.live),
  durable: copyContent(file.durable),
  pending: [...file.pending],
  doomed: [...file.doomed],
})

/**
 * What power loss leaves of the unsynced changes: any subset of a write's sectors, each whole; any subset of
 * truncations; and sometimes a length whose bytes never came.
 */
export function crashFile(file: MemoryFile, random: () => number): void {
  const keep = random()
  for (const each of merge(file.doomed, file.pending)) {
    if (each.kind === 'truncate') {
      if (random() < keep) change(file.durable, each)
    } else {
      crashWrite(file.durable, each.offset, each.bytes, keep, random)
    }
  }
  file.pending = []
  file.doomed = []
  file.live = copyContent(file.durable)
}

const merge = (older: readonly FileChange[], newer: readonly FileChange[]): FileChange[] => [
  ...older,
  ...newer,
]

function crashWrite(
  durable: Content,
  offset: number,
  bytes: Uint8Array,
  keep: number,
  random: () => number,
): void {
  const end = offset + bytes.length
  for (let at = offset; at < end;) {
    const sectorEnd = Math.min(end, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    if (random() < keep) put(durable, at, bytes.subarray(at - offset, sectorEnd - offset))
    at = sectorEnd
  }
  if (end > durable.length && random() < keep / 2) setLength(durable, end)
}
