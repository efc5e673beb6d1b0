import { isIP } from 'node:net'
import { accepted, rejected, type Parsed } from './flag.js'

/** Where a listener binds. Port 0 asks the system for a free one. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** The URL says https. */
  readonly secure: boolean
}

/** A URL of a node: scheme, host and port, nothing else. The result is its canonical text and its parts. */
export interface NodeUrl {
  readonly href: string
  readonly endpoint: Endpoint
}

/** Hosts that mean "every interface" and so cannot be told to others. */
const UNSPECIFIED = new Set(['0.0.0.0', '::'])
export const namesHost = (url: NodeUrl): boolean => !UNSPECIFIED.has(url.endpoint.host)

export function parseUrl(given: string): Parsed<NodeUrl> {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(\[[0-9a-fA-F:.]+\]|[^/:?#@[\]]*):([0-9]{1,5})(\/?)$/.exec(given)
  if (match === null)
    return rejected(`"${given}" must be scheme, host and port only, such as http://10.0.0.1:2379.`)
  const [, scheme, bracketed, digits] = match as unknown as [string, string, string, string]
  if (scheme !== 'http' && scheme !== 'https')
    return rejected(`"${given}": the scheme must be http or https.`)
  const host = bracketed.replace(/^\[|\]$/g, '').toLowerCase()
  if (host === '') return rejected(`"${given}" names no host; use 0.0.0.0 for every interface.`)
  const port = Number(digits)
  if (port > 65_535) return rejected(`"${given}": a port is at most 65535.`)
  return accepted({
    href: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    endpoint: { host, port, secure: scheme === 'https' },
  })
}

/** A listener binds to an address, not to a name that DNS may move. */
export function parseListenUrl(given: string): Parsed<NodeUrl> {
  const url = parseUrl(given)
  if (!url.ok) return url
  const { host } = url.value.endpoint
  return host === 'localhost' || isIP(host) !== 0
    ? url
    : rejected(`"${given}": a listener needs an IP address or localhost.`)
}

/** Others must be able to dial it: a host and a port. */
export function parseAdvertisedUrl(given: string): Parsed<NodeUrl> {
  const url = parseUrl(given)
  if (!url.ok) return url
  return namesHost(url.value)
    ? url
    : rejected(`"${given}" cannot be advertised: it names no host that others could dial.`)
}

/** Nobody but this machine can reach it. */
export const isLoopback = ({ host }: Endpoint): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.')
