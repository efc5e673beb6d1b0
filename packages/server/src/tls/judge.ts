import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import type { TlsConfig } from './config.js'

/** The one common name, or null where there is none or more than one: who would it be? */
export const commonNameOf = (certificate: PeerCertificate): string | null => {
  const name: unknown = (certificate.subject as Partial<PeerCertificate['subject']> | undefined)?.CN
  return typeof name === 'string' && name !== '' ? name : null
}

/** Whether the alternative names cover the host, as a client judges the server that it has dialled. */
const covers = (certificate: PeerCertificate, host: string): boolean =>
  certificate.subjectaltname !== undefined && checkServerIdentity(host, certificate) === undefined

/** Why a verified certificate is not on the list of those that are taken; null: it is, or there is no list. */
export function judgeAllowed({ allowed }: TlsConfig, certificate: PeerCertificate): string | null {
  const { names, hosts } = allowed
  const name = commonNameOf(certificate)
  if (names.length > 0 && (name === null || !names.includes(name)))
    return 'the common name of its certificate is not an allowed one'
  if (hosts.length > 0 && !hosts.some(host => covers(certificate, host)))
    return 'its certificate covers no allowed host name'
  return null
}

/**
 * Why the bearer of a certificate may not speak for the member whose peer URLs have these hosts. The certificate
 * must cover one of them; where names or hosts are allowed by flags, those rule instead.
 */
export function judgeMember(
  config: TlsConfig,
  certificate: PeerCertificate | null,
  hosts: readonly string[],
): string | null {
  if (config.caFile === null) return null
  if (certificate === null) return 'it showed no certificate'
  const { names, hosts: allowedHosts } = config.allowed
  if (names.length > 0 || allowedHosts.length > 0) return judgeAllowed(config, certificate)
  if (config.anyMember || hosts.some(host => covers(certificate, host))) return null
  return `its certificate covers none of the hosts of the member it speaks for (${hosts.join(', ')})`
}
