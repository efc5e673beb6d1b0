import { mkdirSync, rmSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  HeldStateLost,
  LIMITS,
  ok,
  refuse,
  type HeldState,
  type KvNode,
  type Result,
  type Revision,
} from '@kvorum/model'
import { CorruptRecordError, type KvHash } from '@kvorum/machine'
import type { Logger } from '../logging.js'
import { freeBytesOf } from '../node/diskRoom.js'
import { buildSnapshot } from './build.js'
import { hashHeld } from './heldHash.js'
import type { SnapshotFile } from './snapshotFile.js'

const FOLDER = 'snapshots'

/** A file takes about what the state store takes; this much has to be left for the node beside it. */
const SPARE_BYTES = 64 * 1024 * 1024

/** How often a state is read that goes away meanwhile. */
const TRIES = 3

/** `newest`: the revision that the cluster had reached. */
export type HeldHash = KvHash & { readonly newest: Revision }

/** A finished file; closing it frees its place and its room on the disk. */
export interface MadeSnapshot {
  readonly bytes: number
  read(offset: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

/** Makes snapshot files beside the data, a few at a time. */
export class Snapshots {
  readonly #node: KvNode
  readonly #folder: string
  readonly #logger: Logger
  readonly #freeBytes: (path: string) => Promise<number>
  #next = 1
  #open = 0

  constructor(node: KvNode, dataDir: string, logger: Logger, freeBytes = freeBytesOf) {
    this.#node = node
    this.#folder = join(dataDir, FOLDER)
    this.#logger = logger
    this.#freeBytes = freeBytes
    // What a process that was killed has left.
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
  }

  async make(signal: AbortSignal): Promise<Result<MadeSnapshot>> {
    if (this.#open >= LIMITS.snapshotsMax) return refuse('tooManyRequests')
    this.#open++
    const directory = join(this.#folder, String(this.#next++))
    const made = await this.#tried(directory, signal)
    if (!made.ok) {
      this.#open--
      return made
    }
    const file = made.value
    let closed = false
    return ok({
      bytes: file.bytes,
      read: (offset, length) => file.read(offset, length),
      close: async () => {
        if (closed) return
        closed = true
        this.#open--
        await file.close()
      },
    })
  }

  /**
   * The hash of all keys at `revision` (0: the newest), where some shards are elsewhere; and the newest revision then.
   * It takes a place of the files'.
   */
  async hash(revision: Revision, signal: AbortSignal): Promise<Result<HeldHash>> {
    if (this.#open >= LIMITS.snapshotsMax) return refuse('tooManyRequests')
    this.#open++
    try {
      return await this.#held(signal, async held => {
        const hashed = await hashHeld(held, revision, signal)
        return hashed.ok ? ok({ ...hashed.value, newest: held.revision ?? hashed.value.revision }) : hashed
      })
    } finally {
      this.#open--
    }
  }

  async #tried(directory: string, signal: AbortSignal): Promise<Result<SnapshotFile>> {
    try {
      const made = await this.#build(directory, signal)
      await rm(directory, { recursive: true, force: true })
      return made
    } catch (error) {
      return this.#failure(error, signal)
    }
  }

  async #build(directory: string, signal: AbortSignal): Promise<Result<SnapshotFile>> {
    if ((await this.#freeBytes(this.#folder)) < this.#node.status().diskBytes + SPARE_BYTES) return NO_ROOM
    return this.#held(signal, async held => {
      await rm(directory, { recursive: true, force: true })
      await mkdir(directory, { mode: 0o700 })
      return ok(await buildSnapshot(held, directory, signal))
    })
  }

  /** Works with a held state. A shard that is elsewhere may go from under it: then with another one. */
  async #held<Value>(
    signal: AbortSignal,
    work: (held: HeldState) => Promise<Result<Value>>,
  ): Promise<Result<Value>> {
    for (let tries = 1; ; tries++) {
      const held = await this.#node.holdState()
      if (held === null) return refuse(this.#node.status().problems.length > 0 ? 'quarantined' : 'timeout')
      try {
        return await work(held)
      } catch (error) {
        if (!(error instanceof HeldStateLost) || tries >= TRIES) return this.#failure(error, signal)
        this.#logger.info({ reason: error.message }, 'the shards are read once more')
      } finally {
        held.close()
      }
    }
  }

  #failure(error: unknown, signal: AbortSignal): ReturnType<typeof refuse> {
    if (signal.aborted) return refuse('canceled')
    if (error instanceof HeldStateLost) return refuse('unhealthy')
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return NO_ROOM
    this.#logger.error({ error: error instanceof Error ? error.stack : String(error) }, 'a snapshot failed')
    return error instanceof CorruptRecordError ? refuse('corrupt') : refuse('internal')
  }
}

const NO_ROOM = refuse('internal', { detail: 'the disk has no room for the snapshot beside the data' })
