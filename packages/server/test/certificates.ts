import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, type Authority, type Issued, type Wish } from '@kvorum/server'

const HOUR_MS = 3_600_000
export const LOCAL: readonly string[] = ['127.0.0.1', 'localhost']

/** Certificates for a test, in files of its own. */
export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'kvorum-tls-'))
  readonly authority: Authority

  private constructor(authority: Authority) {
    this.authority = authority
    this.write('ca.pem', authority.cert)
  }

  static async create(): Promise<Certificates> {
    return new Certificates(await createAuthority({ name: 'test authority' }))
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  write(name: string, text: string): string {
    writeFileSync(this.path(name), text)
    return this.path(name)
  }

  /** Also as NAME.pem and NAME.key. */
  async issue(name: string, wish: Partial<Wish> = {}, by = this.authority): Promise<Issued> {
    const issued = await by.issue({ name, hosts: LOCAL, ...wish })
    this.write(`${name}.pem`, issued.cert)
    this.write(`${name}.key`, issued.key)
    return issued
  }

  expired(name: string): Promise<Issued> {
    const now = Date.now()
    return this.issue(name, {
      notBefore: new Date(now - 2 * HOUR_MS),
      notAfter: new Date(now - HOUR_MS),
    })
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
