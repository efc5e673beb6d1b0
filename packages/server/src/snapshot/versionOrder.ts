import { mkdir, rm } from 'node:fs/promises'
import { ByteReader, ByteWriter, LIMITS, type StoreWrite } from '@kvorum/model'
import type { OldVersion } from '@kvorum/machine'
import { LevelEngine } from '@kvorum/storage'

/**
 * Sorts where versions lie by the revision they were written at. There may be as many of them as there are keys,
 * so they are sorted on disk: by a LevelDB of its own, which is thrown away afterwards.
 */
export class VersionOrder {
  readonly #directory: string
  readonly #engine: LevelEngine

  private constructor(directory: string, engine: LevelEngine) {
    this.#directory = directory
    this.#engine = engine
  }

  static async create(directory: string): Promise<VersionOrder> {
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return new VersionOrder(directory, await LevelEngine.open(directory))
  }

  async add(versions: readonly OldVersion[]): Promise<void> {
    const writes: StoreWrite[] = versions.map(({ revision, sub, row }) => ({
      key: new ByteWriter(64).u64(BigInt(revision)).u32(sub).raw(row).finish(),
      value: Buffer.alloc(0),
    }))
    await this.#engine.batch(writes, { sync: false })
  }

  async *sorted(rowsMax: number): AsyncGenerator<OldVersion[], void, undefined> {
    let gte: Uint8Array = Buffer.alloc(0)
    const scan = { lt: Buffer.alloc(16, 0xff), reverse: false, values: false, rowsMax }
    for (;;) {
      const need = { gets: [], scans: [{ ...scan, gte, bytesMax: LIMITS.pageBytesMax }] }
      const page = (await this.#engine.fetch(need)).pages[0]!
      yield page.rows.map(({ key }) => parse(key))
      const last = page.rows.at(-1)
      if (!page.more || last === undefined) return
      gte = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  async close(): Promise<void> {
    await this.#engine.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function parse(key: Uint8Array): OldVersion {
  const input = new ByteReader(key)
  return { revision: Number(input.u64()), sub: input.u32(), row: key.subarray(12) }
}
