import type { Address } from '@kvorum/peer'

/** Where an advertised URL is dialled. */
export function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url)
  // The standard port of the scheme is left out there.
  const secure = protocol === 'https:'
  const standard = secure ? 443 : 80
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? standard : Number(port), secure }
}
