import { fromUtf8 } from '@kvorum/model'
import type { pb } from '@kvorum/protocol'

/** A key with its value and its history, as of one revision. */
export class Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** Revision of the write that made the key (again, after a delete). */
  readonly createRevision: number
  /** Revision of the latest write. */
  readonly modRevision: number
  /** Writes since the key was made; 0 for a deleted key in a watch event. */
  readonly version: number
  /** 0n: none. */
  readonly lease: bigint

  /** Copies the bytes, because a decoded message shares its network buffer. */
  constructor(kv: pb.KeyValue) {
    this.key = new Uint8Array(kv.key)
    this.value = new Uint8Array(kv.value)
    this.createRevision = kv.create_revision
    this.modRevision = kv.mod_revision
    this.version = kv.version
    this.lease = kv.lease
  }

  /** The key as UTF-8. */
  get name(): string {
    return fromUtf8(this.key)
  }

  /** The value as UTF-8. */
  text(): string {
    return fromUtf8(this.value)
  }

  /** The value parsed as JSON; what it holds is the caller's knowledge. */
  json(): unknown {
    return JSON.parse(this.text())
  }
}

export const entryOf = (kv: pb.KeyValue | null): Entry | null => (kv === null ? null : new Entry(kv))
