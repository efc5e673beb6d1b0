import { open, unlink, type FileHandle } from 'node:fs/promises'
import {
  createBboltWriter,
  finishFile,
  HEAD_PAGES,
  PAGE_BYTES,
  takePages,
  type BboltWriter,
} from '@kvorum/storage'

/** Pages gathered before they are written. */
const WRITE_BYTES = 1024 * 1024

/** A bbolt file while it is made. Its name is gone from the start, so that nothing is left when the process ends. */
export class SnapshotFile {
  readonly writer: BboltWriter = createBboltWriter()
  readonly #handle: FileHandle
  #at = HEAD_PAGES * PAGE_BYTES

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  static async create(path: string): Promise<SnapshotFile> {
    const handle = await open(path, 'wx+', 0o600)
    await unlink(path)
    return new SnapshotFile(handle)
  }

  /** Writes what has gathered, if it is worth it. */
  async drain(): Promise<void> {
    if (this.writer.outBytes >= WRITE_BYTES) await this.#writePages()
  }

  async finish(): Promise<void> {
    const head = finishFile(this.writer)
    await this.#writePages()
    await this.#handle.write(head, 0, head.length, 0)
  }

  get bytes(): number {
    return this.#at
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#handle.read(Buffer.allocUnsafe(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #writePages(): Promise<void> {
    const bytes = Buffer.concat(takePages(this.writer))
    for (let written = 0; written < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, this.#at)
      written += bytesWritten
      this.#at += bytesWritten
    }
  }
}
