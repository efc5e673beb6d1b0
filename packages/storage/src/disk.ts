/**
 * The disk as the log sees it: file operations as data. The planners of log/ return them, production runs them
 * on FileDisk, the simulator on MemoryDisk; one suite of tests holds for both.
 *
 * Files are named relative to one directory and have no folders. What `sync` and `syncDirectory` did not cover
 * may be lost by a crash, in any part and any order.
 */
export type DiskOp =
  /** A new, empty file; one of that name must not exist. Its name is durable after `syncDirectory`. */
  | { readonly kind: 'create'; readonly file: string }
  /** All chunks, one after the other, from `offset` on. A gap behind the file's end reads as zeros. */
  | {
      readonly kind: 'write'
      readonly file: string
      readonly offset: number
      readonly chunks: readonly Uint8Array[]
    }
  /** Content and length of the file are durable when this has run. */
  | { readonly kind: 'sync'; readonly file: string }
  /** Names are durable when this has run. */
  | { readonly kind: 'syncDirectory' }
  /** Replaces `to`, if there is one. */
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'truncate'; readonly file: string; readonly length: number }
  /** Nothing happens where there is no such file, so that cleaning up can be repeated. */
  | { readonly kind: 'remove'; readonly file: string }

export interface DiskFile {
  readonly name: string
  readonly bytes: number
}

export interface Disk {
  /** In order; stops at the first error, which rejects with a DiskError. Calls do not overlap. */
  run(ops: readonly DiskOp[]): Promise<void>
  /** Shorter than `length` only where the file ends. May run beside `run`. */
  read(file: string, offset: number, length: number): Promise<Uint8Array>
  /** Sorted by name. */
  list(): Promise<DiskFile[]>
  close(): Promise<void>
}

/** What the operating system refused. `code` is its name (ENOSPC, EIO, ...), `errno` its number. */
export class DiskError extends Error {
  override readonly name = 'DiskError'
  readonly code: string
  readonly errno: number
  readonly operation: DiskOp['kind'] | 'read' | 'list' | 'open'
  readonly file: string

  constructor(
    code: string,
    errno: number,
    operation: DiskError['operation'],
    file: string,
    options?: ErrorOptions,
  ) {
    super(`${operation} ${file === '' ? 'directory' : file}: ${code}`, options)
    this.code = code
    this.errno = errno
    this.operation = operation
    this.file = file
  }
}

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT'])
const BEFORE_DURABILITY = new Set<DiskError['operation']>(['create', 'write'])

/**
 * Whether the operation may be abandoned and tried again when there is room. A sync that reports a full disk is
 * not among these: nobody knows what it left behind, so it is as fatal as any other failed sync.
 */
export const isNoSpace = (error: unknown): boolean =>
  error instanceof DiskError && NO_SPACE.has(error.code) && BEFORE_DURABILITY.has(error.operation)
