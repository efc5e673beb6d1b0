import { bool, choice, integer, list, meaningless, text, type Flag } from './flag.js'

const VERSIONS = ['', 'TLS1.2', 'TLS1.3'] as const

/** Who is trusted, and how that is proven. */
export const TLS_FLAGS = {
  'cert-file': text('', 'file', 'Certificate shown to clients, with its chain. PEM.'),
  'key-file': text('', 'file', 'Its private key. PEM.'),
  'trusted-ca-file': text('', 'file', 'Authorities of client certificates; with it, clients must show one.'),
  'client-cert-auth': bool(false, "A client certificate's common name is its user's name."),
  'client-cert-file': meaningless('value', 'the JSON gateway is no client that would need a certificate'),
  'client-key-file': meaningless('value', 'the JSON gateway is no client that would need a certificate'),
  'client-crl-file': text('', 'file', 'Revoked client certificates, from every authority in use.'),
  'client-cert-allowed-cn': list('', 'names', 'The only common names that clients may have.'),
  'client-cert-allowed-hostname': list(
    '',
    'hosts',
    'Clients must show a certificate that covers one of these.',
  ),
  'auto-tls': bool(false, 'Clients are spoken to with a certificate that this server makes.'),
  'peer-cert-file': text('', 'file', 'Certificate shown to other members, with its chain. PEM.'),
  'peer-key-file': text('', 'file', 'Its private key. PEM.'),
  'peer-client-cert-file': text('', 'file', 'Certificate for dialling members. Default: --peer-cert-file.'),
  'peer-client-key-file': text('', 'file', 'Its private key. PEM.'),
  'peer-trusted-ca-file': text('', 'file', 'Authorities of the certificates of members.'),
  'peer-client-cert-auth': bool(false, 'Members must show a certificate; needs --peer-trusted-ca-file.'),
  'peer-crl-file': text('', 'file', 'Revoked certificates of members, from every authority in use.'),
  'peer-cert-allowed-cn': list(
    '',
    'names',
    'The only common names of members. Without it a certificate must cover a peer URL of its member.',
  ),
  'peer-cert-allowed-hostname': list(
    '',
    'hosts',
    'Members must show a certificate that covers one of these.',
  ),
  'experimental-peer-skip-client-san-verification': bool(
    false,
    'Any certificate of the authority may speak for any member.',
  ),
  'peer-auto-tls': bool(false, 'Members are spoken to with certificates that they make; proves nothing.'),
  'self-signed-cert-validity': integer(
    1,
    { least: 1, most: 100 },
    'years',
    'How long certificates of --auto-tls and --peer-auto-tls hold.',
  ),
  'require-peer-tls': bool(false, 'Refuse to start with a peer URL off this machine that is not https.'),
  'cipher-suites': list('', 'names', "Cipher suites, by their IANA names. Default: the library's."),
  'tls-min-version': choice(VERSIONS, '', 'Lowest version of TLS. Default: TLS1.2.'),
  'tls-max-version': choice(VERSIONS, '', 'Highest version of TLS. Default: TLS1.3.'),
} as const satisfies Readonly<Record<string, Flag<unknown>>>
