import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { accepted, rejected, type Parsed } from '../config/flag.js'
import type { Logger } from '../logging.js'
import type { TlsConfig } from './config.js'
import { checkMaterial, type Material, type MaterialFile } from './pem.js'
import { selfSignedPair } from './selfSigned.js'

export interface SourceStatus {
  readonly side: TlsConfig['side']
  readonly notAfter: number
  readonly reloads: number
  readonly failedReloads: number
}

/**
 * The certificates of one side. Their files are looked at every few seconds; when they have changed and fit each
 * other they replace what was in use, for new connections. Otherwise what was in use stays, with a warning.
 */
export class CertificateSource {
  readonly config: TlsConfig
  readonly #directory: string
  readonly #logger: Logger
  readonly #followers = new Set<() => void>()
  readonly #timer: NodeJS.Timeout
  #material: Material
  #seen: string
  #complaint: string | null = null
  #reloads = 0
  #failedReloads = 0

  private constructor(config: TlsConfig, directory: string, logger: Logger, loaded: Loaded) {
    this.config = config
    this.#directory = directory
    this.#logger = logger
    this.#material = loaded.material
    this.#seen = loaded.seen
    this.#warnOfEnd()
    this.#timer = setInterval(() => void this.reload(), RELOAD_MS)
    this.#timer.unref()
  }

  /** Rejects (as a value) with the sentence for the operator. */
  static async open(config: TlsConfig, dataDir: string, logger: Logger): Promise<Parsed<CertificateSource>> {
    const directory = join(dataDir, 'certificates', config.side)
    const loaded = await load(config, directory)
    return loaded.ok ? accepted(new CertificateSource(config, directory, logger, loaded.value)) : loaded
  }

  get material(): Material {
    return this.#material
  }

  get status(): SourceStatus {
    return {
      side: this.config.side,
      notAfter: this.#material.notAfter,
      reloads: this.#reloads,
      failedReloads: this.#failedReloads,
    }
  }

  follow(change: () => void): () => void {
    this.#followers.add(change)
    return () => this.#followers.delete(change)
  }

  /** Looks at the files now. */
  async reload(): Promise<void> {
    if (this.#complaint === null && signature(pathsOf(this.config, this.#directory)) === this.#seen) return
    const loaded = await load(this.config, this.#directory)
    if (!loaded.ok) return this.#complain(loaded.reason)
    this.#complaint = null
    if (loaded.value.seen === this.#seen) return
    this.#material = loaded.value.material
    this.#seen = loaded.value.seen
    this.#reloads++
    this.#logger.info({ side: this.config.side }, 'certificates were changed and are in use from now on')
    this.#warnOfEnd()
    for (const change of this.#followers) change()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#followers.clear()
  }

  #complain(reason: string): void {
    if (reason === this.#complaint) return
    this.#complaint = reason
    this.#failedReloads++
    this.#logger.warn(
      { side: this.config.side, reason },
      'changed certificates cannot be used, the old ones stay',
    )
  }

  #warnOfEnd(): void {
    const left = this.#material.notAfter - Date.now()
    if (left < SOON_MS)
      this.#logger.warn(
        { side: this.config.side, notAfter: new Date(this.#material.notAfter).toISOString() },
        left < 0 ? 'the certificate has expired' : 'the certificate expires soon',
      )
  }
}

const RELOAD_MS = 2_000
const SOON_MS = 7 * 24 * 60 * 60 * 1000

interface Loaded {
  readonly material: Material
  readonly seen: string
}

type Flagged = Omit<MaterialFile, 'bytes'>

interface Paths {
  readonly pair: { readonly cert: Flagged; readonly key: Flagged }
  readonly dial: { readonly cert: Flagged; readonly key: Flagged } | null
  readonly ca: Flagged | null
  readonly crl: Flagged | null
}

function pathsOf(config: TlsConfig, directory: string): Paths {
  const peer = config.side === 'peer'
  const flag = (name: string): string => (peer ? `--peer-${name}` : `--${name}`)
  const { certificate, dialCertificate, caFile, crlFile } = config
  const pairOf = (prefix: string, files: { certFile: string; keyFile: string }) => ({
    cert: { flag: flag(`${prefix}cert-file`), path: files.certFile },
    key: { flag: flag(`${prefix}key-file`), path: files.keyFile },
  })
  const auto = (name: string): Flagged => ({ flag: flag('auto-tls'), path: join(directory, name) })
  return {
    pair:
      certificate.kind === 'files'
        ? pairOf('', certificate)
        : { cert: auto('cert.pem'), key: auto('key.pem') },
    dial: dialCertificate === null ? null : pairOf('client-', dialCertificate),
    ca: caFile === null ? null : { flag: flag('trusted-ca-file'), path: caFile },
    crl: crlFile === null ? null : { flag: peer ? '--peer-crl-file' : '--client-crl-file', path: crlFile },
  }
}

/** Changes whenever one of the files does. */
function signature({ pair, dial, ca, crl }: Paths): string {
  const files = [pair.cert, pair.key, dial?.cert, dial?.key, ca, crl]
  return files
    .map(file => {
      if (file == null) return ''
      try {
        const { ino, size, mtimeNs } = statSync(file.path, { bigint: true })
        return `${ino}:${size}:${mtimeNs}`
      } catch (error) {
        return String((error as NodeJS.ErrnoException).code)
      }
    })
    .join('|')
}

async function load(config: TlsConfig, directory: string): Promise<Parsed<Loaded>> {
  const { certificate } = config
  const paths = pathsOf(config, directory)
  try {
    const made =
      certificate.kind === 'selfSigned'
        ? await selfSignedPair({ directory, ...certificate, flag: paths.pair.cert.flag })
        : null
    // Before the files are read: a change in between is then seen as one the next time.
    const seen = signature(paths)
    const material = checkMaterial({
      cert: made?.cert ?? read(paths.pair.cert),
      key: made?.key ?? read(paths.pair.key),
      dial: paths.dial === null ? null : { cert: read(paths.dial.cert), key: read(paths.dial.key) },
      ca: paths.ca === null ? null : read(paths.ca),
      crl: paths.crl === null ? null : read(paths.crl),
    })
    return material.ok ? accepted({ material: material.value, seen }) : material
  } catch (error) {
    if (error instanceof Unreadable) return rejected(error.message)
    return rejected(`The certificates of --${config.side} cannot be prepared (${(error as Error).message}).`)
  }
}

class Unreadable extends Error {}

function read(file: Flagged): MaterialFile {
  try {
    return { ...file, bytes: readFileSync(file.path) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Unreadable(`${file.flag} ${file.path} cannot be read (${code ?? String(error)}).`)
  }
}
