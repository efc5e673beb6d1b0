import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority } from '@kvorum/server'
import type { Test } from 'tap'

/** An authority, and a certificate for every name in `hosts`. */
export async function certificates(t: Test, hosts: Readonly<Record<string, readonly string[]>>) {
  const directory = mkdtempSync(join(tmpdir(), 'kvorum-tls-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const authority = await createAuthority({ name: 'test authority' })
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text)
  write('ca.pem', authority.cert)
  const issue = async (name: string): Promise<void> => {
    const { cert, key } = await authority.issue({ name, hosts: hosts[name] ?? [] })
    write(`${name}.pem`, cert)
    write(`${name}.key`, key)
  }
  for (const name of Object.keys(hosts)) await issue(name)
  return { path: (name: string) => join(directory, name), issue }
}
