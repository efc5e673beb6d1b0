import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { bcryptText, verifyBcrypt } from './bcryptHash.js'
import { EMPTY, LIMITS, ok, refuse, type Result } from '@kvorum/model'

/** Cost of a hash: 2^15 blocks of 8 x 128 bytes, 32 MiB and about a tenth of a second. */
const LOG_N = 15
const BLOCK = 8
const PARALLEL = 1
const FORMAT = 1
const SALT_BYTES = 16
const HASH_BYTES = 32
const HEAD_BYTES = 4
const MEMORY_MAX = 128 * 1024 * 1024

/**
 * Hashes passwords, few at a time, in the thread pool that syncs and reads of the store share. What waits is
 * bounded: more is refused at once.
 */
export class Passwords {
  readonly #logN: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(logN = LOG_N) {
    this.#logN = logN
  }

  /** format, log2 N, r, p, salt, hash. */
  async hash(password: string): Promise<Result<Uint8Array>> {
    const salt = randomBytes(SALT_BYTES)
    const hash = await this.#derive(password, salt, [this.#logN, BLOCK, PARALLEL])
    if (!hash.ok) return hash
    return ok(Buffer.concat([Buffer.of(FORMAT, this.#logN, BLOCK, PARALLEL), salt, hash.value]))
  }

  /**
   * Whether the password is the one of `stored`. Without a stored one (no such user, or one without a password)
   * it takes as long, and is wrong. One that came from etcd with a snapshot is a bcrypt hash. `isWanted` is asked when
   * its turn has come: others that waited with it may have been wrong meanwhile.
   */
  async verify(
    password: string,
    stored: Uint8Array,
    isWanted: () => boolean = () => true,
  ): Promise<Result<boolean>> {
    const bcrypt = bcryptText(stored)
    if (bcrypt !== null) return this.#limited(() => verifyBcrypt(password, bcrypt), isWanted)
    const known = stored.length === HEAD_BYTES + SALT_BYTES + HASH_BYTES && stored[0] === FORMAT
    const [, logN = this.#logN, block = BLOCK, parallel = PARALLEL] = known ? stored : EMPTY
    const salt = known ? stored.subarray(HEAD_BYTES, HEAD_BYTES + SALT_BYTES) : NO_SALT
    const derived = await this.#derive(password, salt, [logN, block, parallel], isWanted)
    if (!derived.ok) return derived
    const expected = known ? stored.subarray(HEAD_BYTES + SALT_BYTES) : NO_HASH
    return ok(timingSafeEqual(derived.value, expected) && known)
  }

  #derive(
    password: string,
    salt: Uint8Array,
    [logN, r, p]: readonly [number, number, number],
    isWanted?: () => boolean,
  ): Promise<Result<Buffer>> {
    return this.#limited(() => derive(password, salt, 2 ** logN, r, p), isWanted)
  }

  async #limited<Value>(
    work: () => Promise<Value>,
    isWanted: () => boolean = () => true,
  ): Promise<Result<Value>> {
    if (this.#running >= LIMITS.passwordHashesMax) {
      if (this.#waiting.length >= LIMITS.passwordQueueMax) return refuse('tooManyRequests')
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    } else this.#running++
    try {
      return isWanted() ? ok(await work()) : refuse('tooManyRequests')
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}

const NO_SALT = Buffer.alloc(SALT_BYTES)
const NO_HASH = Buffer.alloc(HASH_BYTES)

function derive(password: string, salt: Uint8Array, N: number, r: number, p: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize(), salt, HASH_BYTES, { N, r, p, maxmem: MEMORY_MAX }, (error, hash) => {
      if (error === null) resolve(hash)
      else reject(error)
    })
  })
}
