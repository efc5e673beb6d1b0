import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'

/** A certificate authority that makes keys and certificates; for self-signed pairs, and for tests. */
export interface Authority {
  /** PEM. */
  readonly cert: string
  readonly issue: (wish: Wish) => Promise<Issued>
  /** A revocation list of those that carry these serial numbers. PEM. */
  readonly revoke: (serials: readonly string[]) => Promise<string>
}

export interface Wish {
  /** The common name. */
  readonly name: string
  /** Names and addresses that the certificate covers. */
  readonly hosts: readonly string[]
  readonly notBefore?: Date
  readonly notAfter?: Date
}

export interface Issued {
  /** PEM. */
  readonly cert: string
  /** PKCS #8 in PEM. */
  readonly key: string
  /** Hexadecimal. */
  readonly serial: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY_MS = 24 * 60 * 60 * 1000
/** Clocks of other machines may be behind. */
const SLACK_MS = 60 * 60 * 1000

export async function createAuthority(wish: Omit<Wish, 'hosts'>): Promise<Authority> {
  // Only now: few servers make certificates, and the library takes its time to load.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const crypto = webcrypto
  const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const times = ({ notBefore, notAfter }: Pick<Wish, 'notBefore' | 'notAfter'>) => ({
    notBefore: notBefore ?? new Date(Date.now() - SLACK_MS),
    notAfter: notAfter ?? new Date(Date.now() + DAY_MS),
  })
  const keys = await newKeys()
  const own = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [wish.name] }],
      ...times(wish),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  )
  const issue = async (leaf: Wish): Promise<Issued> => {
    const pair = await newKeys()
    const usages = [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]
    const names = leaf.hosts.map(host => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }) as const)
    const certificate = await x509.X509CertificateGenerator.create(
      {
        subject: [{ CN: [leaf.name] }],
        issuer: own.subjectName,
        ...times(leaf),
        publicKey: pair.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension(usages),
          ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, crypto),
        ],
      },
      crypto,
    )
    const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey))
    return {
      cert: `${certificate.toString('pem')}\n`,
      key: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
      serial: certificate.serialNumber,
    }
  }
  const revoke = async (serials: readonly string[]): Promise<string> => {
    const list = await x509.X509CrlGenerator.create(
      {
        issuer: own.subjectName,
        thisUpdate: new Date(Date.now() - SLACK_MS),
        nextUpdate: new Date(Date.now() + DAY_MS),
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        entries: serials.map(serialNumber => ({ serialNumber, revocationDate: new Date() })),
      },
      crypto,
    )
    return `${x509.PemConverter.encode(list.rawData, 'X509 CRL')}\n`
  }
  return { cert: `${own.toString('pem')}\n`, issue, revoke }
}
