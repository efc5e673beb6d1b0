import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createAuthority } from './authority.js'
import type { MaterialFile } from './pem.js'

export interface SelfSignedPlan {
  readonly directory: string
  readonly hosts: readonly string[]
  readonly years: number
  readonly flag: string
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

/** The pair kept in the directory, or a new one where there is none or it has ended. */
export async function selfSignedPair(
  plan: SelfSignedPlan,
): Promise<{ cert: MaterialFile; key: MaterialFile }> {
  const { directory, flag } = plan
  const cert = { flag, path: join(directory, 'cert.pem') }
  const key = { flag, path: join(directory, 'key.pem') }
  if (!existsSync(cert.path) || !existsSync(key.path) || hasEnded(readFileSync(cert.path))) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const pair = await makePair(plan)
    writeFileSync(key.path, pair.key, { mode: 0o600 })
    writeFileSync(cert.path, pair.cert, { mode: 0o600 })
  }
  return {
    cert: { ...cert, bytes: readFileSync(cert.path) },
    key: { ...key, bytes: readFileSync(key.path) },
  }
}

async function makePair({ hosts, years }: SelfSignedPlan): Promise<{ cert: string; key: string }> {
  const notAfter = new Date(Date.now() + years * YEAR_MS)
  const authority = await createAuthority({ name: 'kvorum self-signed', notAfter })
  const leaf = await authority.issue({ name: 'kvorum', hosts, notAfter })
  return { key: leaf.key, cert: leaf.cert + authority.cert }
}

function hasEnded(pem: Buffer): boolean {
  try {
    return Date.parse(new X509Certificate(pem).validTo) <= Date.now()
  } catch {
    return true
  }
}
