import { cipherList } from '../tls/ciphers.js'
import type { TlsConfig, TlsVersion } from '../tls/config.js'
import { accepted, rejected, type Parsed } from './flag.js'
import type { FlagValues } from './flags.js'
import { isLoopback, parseUrl, type NodeUrl } from './urls.js'

/** The flags of one side, under the names they have in the other side's company. */
interface Side {
  readonly side: TlsConfig['side']
  readonly prefix: '' | 'peer-'
  readonly crlFlag: string
  readonly cert: string
  readonly key: string
  readonly dialCert: string
  readonly dialKey: string
  readonly ca: string
  readonly auth: boolean
  readonly crl: string
  readonly names: readonly string[]
  readonly hosts: readonly string[]
  readonly auto: boolean
  readonly anyMember: boolean
}

const clientSide = (values: FlagValues): Side => ({
  side: 'client',
  prefix: '',
  crlFlag: 'client-crl-file',
  cert: values['cert-file'],
  key: values['key-file'],
  dialCert: '',
  dialKey: '',
  ca: values['trusted-ca-file'],
  auth: values['client-cert-auth'],
  crl: values['client-crl-file'],
  names: values['client-cert-allowed-cn'],
  hosts: values['client-cert-allowed-hostname'],
  auto: values['auto-tls'],
  anyMember: false,
})

const peerSide = (values: FlagValues): Side => ({
  side: 'peer',
  prefix: 'peer-',
  crlFlag: 'peer-crl-file',
  cert: values['peer-cert-file'],
  key: values['peer-key-file'],
  dialCert: values['peer-client-cert-file'],
  dialKey: values['peer-client-key-file'],
  ca: values['peer-trusted-ca-file'],
  auth: values['peer-client-cert-auth'],
  crl: values['peer-crl-file'],
  names: values['peer-cert-allowed-cn'],
  hosts: values['peer-cert-allowed-hostname'],
  auto: values['peer-auto-tls'],
  anyMember: values['experimental-peer-skip-client-san-verification'],
})

export interface TlsConfigs {
  readonly clientTls: TlsConfig | null
  readonly peerTls: TlsConfig | null
}

/** Both sides, or what is incomplete about them: half a set of TLS flags would look safe and not be. */
export function validateTls(
  values: FlagValues,
  listenClient: readonly NodeUrl[],
  listenPeer: readonly NodeUrl[],
): Parsed<TlsConfigs> {
  const client = validateSide(clientSide(values), values, listenClient)
  if (!client.ok) return client
  const peer = validateSide(peerSide(values), values, listenPeer)
  if (!peer.ok) return peer
  return accepted({ clientTls: client.value, peerTls: peer.value })
}

function validateSide(side: Side, values: FlagValues, listen: readonly NodeUrl[]): Parsed<TlsConfig | null> {
  const urls = `--listen-${side.side}-urls`
  const secure = listen.some(url => url.endpoint.secure)
  const problem = incomplete(side)
  if (problem !== null) return rejected(problem)
  const given = side.cert !== '' || side.auto
  if (secure && !given)
    return rejected(
      `${urls} has an https URL, which needs --${side.prefix}cert-file and --${side.prefix}key-file.`,
    )
  if (!given) return accepted(null)
  if (!secure)
    return rejected(
      `--${side.prefix}${side.cert === '' ? 'auto-tls' : 'cert-file'} is given, but ${urls} has no https URL.`,
    )
  const ciphers = cipherList(values['cipher-suites'])
  if (!ciphers.ok) return ciphers
  const [minVersion, maxVersion] = [
    versionOf(values['tls-min-version'], 'TLSv1.2'),
    versionOf(values['tls-max-version'], 'TLSv1.3'),
  ]
  if (minVersion > maxVersion) return rejected('--tls-min-version must not be above --tls-max-version.')
  return accepted({
    side: side.side,
    certificate:
      side.cert === ''
        ? { kind: 'selfSigned', years: values['self-signed-cert-validity'], hosts: hostsOf(listen) }
        : { kind: 'files', certFile: side.cert, keyFile: side.key },
    dialCertificate: side.dialCert === '' ? null : { certFile: side.dialCert, keyFile: side.dialKey },
    caFile: side.ca === '' ? null : side.ca,
    crlFile: side.crl === '' ? null : side.crl,
    namesUsers: side.auth,
    allowed: { names: side.names, hosts: side.hosts },
    anyMember: side.anyMember,
    minVersion,
    maxVersion,
    ciphers: ciphers.value,
  })
}

/**
 * The peer URLs, of this node and of the others at its start, that are reached over a network without TLS; or
 * why they cannot be used.
 */
export function plainPeers(
  listen: readonly NodeUrl[],
  advertised: readonly NodeUrl[],
  cluster: readonly string[],
  peerTls: TlsConfig | null,
): Parsed<readonly string[]> {
  for (const { href, endpoint } of advertised)
    if (!listen.some(url => url.endpoint.secure === endpoint.secure))
      return rejected(
        `--initial-advertise-peer-urls has ${href}, but no peer URL of that scheme is listened on.`,
      )
  const others = cluster.map(parseUrl).flatMap(url => (url.ok ? [url.value] : []))
  const secure = others.find(url => url.endpoint.secure)
  if (secure !== undefined && peerTls === null)
    return rejected(
      `--initial-cluster has ${secure.href}, which needs --peer-cert-file and --peer-key-file here, too.`,
    )
  const plain = [...listen, ...others].filter(({ endpoint }) => !endpoint.secure && !isLoopback(endpoint))
  return accepted([...new Set(plain.map(({ href }) => href))])
}

/** What a flag needs that is not there; null: nothing. */
function incomplete(side: Side): string | null {
  const flag = (name: string): string => `--${side.prefix}${name}`
  const pairs = [
    ['cert-file', side.cert, 'key-file', side.key],
    ['client-cert-file', side.dialCert, 'client-key-file', side.dialKey],
  ] as const
  for (const [certFlag, cert, keyFlag, key] of pairs) {
    if (cert !== '' && key === '') return `${flag(certFlag)} needs ${flag(keyFlag)}.`
    if (key !== '' && cert === '') return `${flag(keyFlag)} needs ${flag(certFlag)}.`
  }
  const needCa = [
    [flag('client-cert-auth'), side.auth],
    [`--${side.crlFlag}`, side.crl !== ''],
    [side.side === 'peer' ? '--peer-cert-allowed-cn' : '--client-cert-allowed-cn', side.names.length > 0],
    [
      side.side === 'peer' ? '--peer-cert-allowed-hostname' : '--client-cert-allowed-hostname',
      side.hosts.length > 0,
    ],
  ] as const
  const ca = flag('trusted-ca-file')
  for (const [name, given] of needCa) if (given && side.ca === '') return `${name} needs ${ca}.`
  if (side.cert !== '' || side.auto) {
    if (side.side === 'peer' && side.cert === '' && side.ca !== '')
      return `${ca} cannot be used with --peer-auto-tls: the other members' certificates are their own.`
    return null
  }
  if (side.ca !== '') return `${ca} needs ${flag('cert-file')} and ${flag('key-file')}.`
  return side.dialCert === '' ? null : `${flag('client-cert-file')} needs ${flag('cert-file')}.`
}

const versionOf = (written: '' | 'TLS1.2' | 'TLS1.3', fallback: TlsVersion): TlsVersion =>
  written === '' ? fallback : written === 'TLS1.2' ? 'TLSv1.2' : 'TLSv1.3'

/** What a certificate of our own must cover: where this server listens, and every way to say "this machine". */
const hostsOf = (listen: readonly NodeUrl[]): readonly string[] => [
  ...new Set([...listen.map(url => url.endpoint.host), 'localhost', '127.0.0.1', '::1']),
]
