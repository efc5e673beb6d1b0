import { unreachable } from '@kvorum/model'
import { DiskError } from './disk.js'
import type { Disk, DiskFile, DiskOp } from './disk.js'
import { change, copyFile, crashFile, createFile } from './memoryFile.js'
import type { FileChange, MemoryFile } from './memoryFile.js'

/** The next operation that fits fails. `afterBytes`: of a write, so many bytes get through before it fails. */
export interface DiskFault {
  readonly code: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EMFILE' | 'EROFS'
  readonly operation?: DiskOp['kind'] | 'read'
  readonly file?: string
  readonly afterBytes?: number
}

const ERRNO: Readonly<Record<string, number>> = {
  ENOENT: -2,
  EIO: -5,
  EEXIST: -17,
  EMFILE: -24,
  ENOSPC: -28,
  EROFS: -30,
  EDQUOT: -122,
}

type NameChange =
  | { readonly kind: 'bind'; readonly name: string; readonly file: MemoryFile }
  | { readonly kind: 'unbind'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly file: MemoryFile }

/**
 * A disk in memory that can lose power. Deterministic: chance comes in as an argument. The core is synchronous,
 * for the simulator; the Disk methods are the same with promises around them.
 *
 * A crash keeps any subset of the unsynced sectors, truncations and names. After a sync that failed, what it
 * should have written can be read but is never written by a later sync, as on Linux.
 */
export class MemoryDisk implements Disk {
  #names = new Map<string, MemoryFile>()
  #durableNames = new Map<string, MemoryFile>()
  #pendingNames: NameChange[] = []
  #faults: DiskFault[] = []
  #capacity = Number.POSITIVE_INFINITY
  #used = 0

  runSync(ops: readonly DiskOp[]): void {
    for (const op of ops) this.#perform(op)
  }

  readSync(file: string, offset: number, length: number): Uint8Array {
    this.#failIfAsked('read', file)
    const { live } = this.#open(file, 'read')
    return live.buffer.slice(Math.min(offset, live.length), Math.min(offset + length, live.length))
  }

  listSync(): DiskFile[] {
    return [...this.#names]
      .map(([name, { live }]) => ({ name, bytes: live.length }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async run(ops: readonly DiskOp[]): Promise<void> {
    this.runSync(ops)
  }

  async read(file: string, offset: number, length: number): Promise<Uint8Array> {
    return this.readSync(file, offset, length)
  }

  async list(): Promise<DiskFile[]> {
    return this.listSync()
  }

  async close(): Promise<void> {
    this.#faults = []
  }

  /** Power loss. `random` gives numbers in [0, 1). What is left is durable; faults and capacity stay. */
  crash(random: () => number): void {
    const keep = random()
    for (const each of this.#pendingNames) if (random() < keep) applyName(this.#durableNames, each)
    this.#pendingNames = []
    const files = new Set(this.#durableNames.values())
    for (const file of files) crashFile(file, random)
    this.#names = new Map(this.#durableNames)
    this.#recount()
  }

  /** The process ends, the machine goes on: everything that was written stays readable, and still unsynced. */
  kill(): void {
    this.#faults = []
  }

  failNext(fault: DiskFault): void {
    this.#faults.push(fault)
  }

  /** Bytes that all files together may have; a write beyond it gets as far as there is room. */
  setCapacity(bytes: number): void {
    this.#capacity = bytes
  }

  get usedBytes(): number {
    return this.#used
  }

  /** Changes bits that were synced long ago, without anybody noticing. */
  flip(file: string, offset: number, mask: number): void {
    const { live, durable } = this.#open(file, 'read')
    if (offset < live.length) live.buffer[offset]! ^= mask
    if (offset < durable.length) durable.buffer[offset]! ^= mask
  }

  /** A disk of its own in the same state, pending operations included. */
  copy(): MemoryDisk {
    const copies = new Map<MemoryFile, MemoryFile>()
    const twin = (file: MemoryFile): MemoryFile => {
      let found = copies.get(file)
      if (found === undefined) copies.set(file, (found = copyFile(file)))
      return found
    }
    const disk = new MemoryDisk()
    for (const [name, file] of this.#names) disk.#names.set(name, twin(file))
    for (const [name, file] of this.#durableNames) disk.#durableNames.set(name, twin(file))
    disk.#pendingNames = this.#pendingNames.map(each =>
      each.kind === 'unbind' ? each : { ...each, file: twin(each.file) },
    )
    disk.#faults = [...this.#faults]
    disk.#capacity = this.#capacity
    disk.#used = this.#used
    return disk
  }

  #perform(op: DiskOp): void {
    switch (op.kind) {
      case 'create':
        this.#failIfAsked('create', op.file)
        if (this.#names.has(op.file)) throw fail('EEXIST', 'create', op.file)
        this.#bind(op.file)
        return
      case 'write':
        this.#write(op)
        return
      case 'sync':
        this.#sync(op.file)
        return
      case 'syncDirectory':
        this.#failIfAsked('syncDirectory', '')
        for (const each of this.#pendingNames) applyName(this.#durableNames, each)
        this.#pendingNames = []
        return
      case 'rename':
        this.#rename(op.from, op.to)
        return
      case 'truncate':
        this.#failIfAsked('truncate', op.file)
        this.#change(this.#open(op.file, 'truncate'), { kind: 'truncate', length: op.length })
        return
      case 'remove':
        this.#failIfAsked('remove', op.file)
        this.#remove(op.file)
        return
      default:
        unreachable(op)
    }
  }

  #bind(name: string): void {
    const file = createFile()
    this.#names.set(name, file)
    this.#pendingNames.push({ kind: 'bind', name, file })
  }

  #write(op: DiskOp & { kind: 'write' }): void {
    const file = this.#open(op.file, 'write')
    const fault = this.#takeFault('write', op.file)
    const bytes = Buffer.concat(op.chunks)
    const room = this.#capacity - this.#used + Math.max(0, file.live.length - op.offset)
    const limit = Math.min(fault?.afterBytes ?? (fault === null ? bytes.length : 0), Math.max(0, room))
    if (limit >= bytes.length && fault === null) {
      if (bytes.length > 0) this.#change(file, { kind: 'write', offset: op.offset, bytes })
      return
    }
    if (limit > 0) this.#change(file, { kind: 'write', offset: op.offset, bytes: bytes.subarray(0, limit) })
    throw fail(fault?.code ?? 'ENOSPC', 'write', op.file)
  }

  #change(file: MemoryFile, each: FileChange): void {
    this.#used -= file.live.length
    change(file.live, each)
    this.#used += file.live.length
    file.pending.push(each)
  }

  #sync(name: string): void {
    const file = this.#open(name, 'sync')
    const fault = this.#takeFault('sync', name)
    if (fault !== null) {
      file.doomed.push(...file.pending)
      file.pending = []
      throw fail(fault.code, 'sync', name)
    }
    for (const each of file.pending) change(file.durable, each)
    file.pending = []
    file.doomed = []
  }

  #rename(from: string, to: string): void {
    this.#failIfAsked('rename', from)
    const file = this.#open(from, 'rename')
    if (from === to) return
    this.#used -= this.#names.get(to)?.live.length ?? 0
    this.#names.delete(from)
    this.#names.set(to, file)
    this.#pendingNames.push({ kind: 'rename', from, to, file })
  }

  #remove(name: string): void {
    const file = this.#names.get(name)
    if (file === undefined) return
    this.#used -= file.live.length
    this.#names.delete(name)
    this.#pendingNames.push({ kind: 'unbind', name })
  }

  #open(name: string, operation: DiskError['operation']): MemoryFile {
    const file = this.#names.get(name)
    if (file === undefined) throw fail('ENOENT', operation, name)
    return file
  }

  #failIfAsked(operation: DiskOp['kind'] | 'read', file: string): void {
    const fault = this.#takeFault(operation, file)
    if (fault !== null) throw fail(fault.code, operation, file)
  }

  #takeFault(operation: DiskOp['kind'] | 'read', file: string): DiskFault | null {
    if (this.#faults.length === 0) return null
    const at = this.#faults.findIndex(
      fault =>
        (fault.operation === undefined || fault.operation === operation) &&
        (fault.file === undefined || fault.file === file),
    )
    return at < 0 ? null : this.#faults.splice(at, 1)[0]!
  }

  #recount(): void {
    this.#used = 0
    for (const file of this.#names.values()) this.#used += file.live.length
  }
}

const fail = (code: string, operation: DiskError['operation'], file: string): DiskError =>
  new DiskError(code, ERRNO[code] ?? -1, operation, file)

/** A change of names reaches the platter, if what it needs is there. */
function applyName(names: Map<string, MemoryFile>, each: NameChange): void {
  switch (each.kind) {
    case 'bind':
      names.set(each.name, each.file)
      return
    case 'unbind':
      names.delete(each.name)
      return
    case 'rename':
      names.delete(each.from)
      names.set(each.to, each.file)
      return
    default:
      unreachable(each)
  }
}
