import { constants } from 'node:fs'
import { open, readdir, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { unreachable } from '@kvorum/model'
import { DiskError } from './disk.js'
import type { Disk, DiskFile, DiskOp } from './disk.js'

/** Files only their owner may read: a log holds every value ever written. */
const FILE_MODE = 0o600
/** Handles kept open; beyond it the one used longest ago is closed, if nobody is using it. */
const HANDLES_MAX = 64
/** Buffers given to one system call (IOV_MAX is 1024). */
const CHUNKS_MAX = 512

interface OpenFile {
  readonly handle: Promise<FileHandle>
  /** Operations under way. */
  users: number
  /** To be closed when its last user is done. */
  closing: boolean
  /** Length or creation are not on disk yet: fdatasync alone may leave them behind. */
  metadata: boolean
  /** Written since the last sync. Stays open: a handle opened later may not hear of an error in writing it back. */
  dirty: boolean
}

/** The disk of the operating system: one directory, handles of its own. */
export class FileDisk implements Disk {
  readonly #directory: string
  readonly #open = new Map<string, OpenFile>()
  #queue: Promise<void> = Promise.resolve()
  #directoryHandle: Promise<FileHandle> | null = null
  readonly #closings = new Set<Promise<void>>()
  #closed = false

  /** The directory must exist. */
  constructor(directory: string) {
    this.#directory = directory
  }

  run(ops: readonly DiskOp[]): Promise<void> {
    const done = this.#queue.then(async () => {
      for (const op of ops) await this.#perform(op)
    })
    // The next call runs after this one whether it failed or not; the caller hears of the failure.
    this.#queue = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }

  async read(file: string, offset: number, length: number): Promise<Uint8Array> {
    try {
      return await this.#use(file, handle => readFully(handle, offset, length))
    } catch (error) {
      throw asDiskError(error, 'read', file)
    }
  }

  async list(): Promise<DiskFile[]> {
    try {
      const files: DiskFile[] = []
      for (const name of (await readdir(this.#directory)).sort()) {
        const found = await stat(this.#path(name))
        if (found.isFile()) files.push({ name, bytes: found.size })
      }
      return files
    } catch (error) {
      throw asDiskError(error, 'list', '')
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#queue
    for (const name of [...this.#open.keys()]) this.#release(name)
    await Promise.all(this.#closings)
    await (await this.#directoryHandle)?.close()
    this.#directoryHandle = null
  }

  #path(file: string): string {
    return join(this.#directory, file)
  }

  async #perform(op: DiskOp): Promise<void> {
    const file = 'file' in op ? op.file : op.kind === 'rename' ? op.from : ''
    try {
      await this.#carryOut(op)
    } catch (error) {
      throw asDiskError(error, op.kind, file)
    }
  }

  async #carryOut(op: DiskOp): Promise<void> {
    switch (op.kind) {
      case 'create':
        return this.#create(op.file)
      case 'write':
        return this.#write(op)
      case 'sync':
        return this.#sync(op.file)
      case 'syncDirectory':
        return this.#syncDirectory()
      case 'rename':
        this.#release(op.from)
        this.#release(op.to)
        return rename(this.#path(op.from), this.#path(op.to))
      case 'truncate':
        return this.#use(op.file, (handle, opened) => {
          opened.metadata = opened.dirty = true
          return handle.truncate(op.length)
        })
      case 'remove':
        return this.#remove(op.file)
      default:
        return unreachable(op)
    }
  }

  async #create(file: string): Promise<void> {
    const handle = open(this.#path(file), constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, FILE_MODE)
    await handle
    this.#release(file)
    this.#open.set(file, { handle, users: 0, closing: false, metadata: true, dirty: false })
  }

  /** The system may take fewer bytes than it was given; the rest is given again. */
  #write(op: DiskOp & { kind: 'write' }): Promise<void> {
    return this.#use(op.file, async (handle, opened) => {
      opened.dirty = true
      let chunks = op.chunks.filter(({ length }) => length > 0)
      let { offset } = op
      while (chunks.length > 0) {
        const { bytesWritten } = await handle.writev(chunks.slice(0, CHUNKS_MAX), offset)
        if (bytesWritten === 0) throw new DiskError('EIO', -5, 'write', op.file)
        offset += bytesWritten
        chunks = without(chunks, bytesWritten)
      }
    })
  }

  #sync(file: string): Promise<void> {
    return this.#use(file, async (handle, opened) => {
      if (opened.metadata) await handle.sync()
      else await handle.datasync()
      opened.metadata = opened.dirty = false
    })
  }

  async #syncDirectory(): Promise<void> {
    if (this.#directoryHandle === null) {
      const handle = open(this.#directory, constants.O_RDONLY)
      await handle
      this.#directoryHandle = handle
    }
    await (await this.#directoryHandle).sync()
  }

  async #remove(file: string): Promise<void> {
    this.#release(file)
    try {
      await unlink(this.#path(file))
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  }

  async #use<Value>(
    file: string,
    work: (handle: FileHandle, opened: OpenFile) => Promise<Value>,
  ): Promise<Value> {
    const opened = this.#file(file)
    opened.users++
    try {
      return await work(await opened.handle, opened)
    } finally {
      opened.users--
      if (opened.closing) this.#closeIfIdle(opened)
    }
  }

  /** The open file; moves it to the young end and closes an old one where there are too many. */
  #file(file: string): OpenFile {
    if (this.#closed) throw new DiskError('EBADF', -9, 'open', file)
    let opened = this.#open.get(file)
    if (opened === undefined) opened = this.#openFile(file)
    else this.#open.delete(file)
    this.#open.set(file, opened)
    if (this.#open.size > HANDLES_MAX) this.#closeOldest(file)
    return opened
  }

  #openFile(file: string): OpenFile {
    const handle = open(this.#path(file), constants.O_RDWR)
    // Whether an earlier process synced the length is not known.
    const opened = { handle, users: 0, closing: false, metadata: true, dirty: false }
    handle.catch(() => {
      if (this.#open.get(file) === opened) this.#open.delete(file)
    })
    return opened
  }

  #closeOldest(except: string): void {
    for (const [file, { users, dirty }] of this.#open)
      if (users === 0 && !dirty && file !== except) return this.#release(file)
  }

  /** Forgets the handle; it is closed when nobody uses it any more. */
  #release(file: string): void {
    const opened = this.#open.get(file)
    if (opened === undefined) return
    this.#open.delete(file)
    opened.closing = true
    this.#closeIfIdle(opened)
  }

  #closeIfIdle(opened: OpenFile): void {
    if (opened.users > 0) return
    const closing: Promise<void> = opened.handle
      .then(handle => handle.close())
      // It was never opened, or its operations have told already that it is broken.
      .catch(() => undefined)
      .finally(() => this.#closings.delete(closing))
    this.#closings.add(closing)
  }
}

async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

function without(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let rest = bytes
  const kept: Uint8Array[] = []
  for (const chunk of chunks) {
    if (rest >= chunk.length) rest -= chunk.length
    else {
      kept.push(rest > 0 ? chunk.subarray(rest) : chunk)
      rest = 0
    }
  }
  return kept
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'EUNKNOWN'

function asDiskError(error: unknown, operation: DiskError['operation'], file: string): DiskError {
  if (error instanceof DiskError) return error
  const errno = error instanceof Error && 'errno' in error ? Number(error.errno) : 0
  return new DiskError(codeOf(error), errno, operation, file, { cause: error })
}
