import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { accepted, rejected, type Parsed } from '../config/flag.js'

/** The texts of the files that one side uses, checked against each other. */
export interface Material {
  readonly cert: string
  readonly key: string
  readonly ca: string | null
  /** One text for each list: the library reads only the first one of a text. */
  readonly crl: readonly string[]
  readonly dial: { readonly cert: string; readonly key: string }
  /** Earliest and latest end of what may expire, in Unix milliseconds. */
  readonly notAfter: number
}

export interface MaterialFile {
  readonly flag: string
  readonly path: string
  readonly bytes: Buffer
}

export interface MaterialFiles {
  readonly cert: MaterialFile
  readonly key: MaterialFile
  readonly ca: MaterialFile | null
  readonly crl: MaterialFile | null
  readonly dial: { readonly cert: MaterialFile; readonly key: MaterialFile } | null
}

/** The material, or the sentence that says what is wrong with the files. */
export function checkMaterial(files: MaterialFiles): Parsed<Material> {
  const pair = checkPair(files.cert, files.key)
  if (!pair.ok) return pair
  const dial = files.dial === null ? pair : checkPair(files.dial.cert, files.dial.key)
  if (!dial.ok) return dial
  const ca = files.ca === null ? null : checkCertificates(files.ca)
  if (ca !== null && !ca.ok) return ca
  const crl = files.crl === null ? [] : revocationLists(files.crl.bytes)
  if (files.crl !== null) {
    try {
      if (crl.length === 0) throw new Error('none')
      createSecureContext({ crl: [...crl] })
    } catch {
      return rejected(`${named(files.crl)} holds no certificate revocation list, in PEM or DER.`)
    }
  }
  return accepted({
    cert: files.cert.bytes.toString(),
    key: files.key.bytes.toString(),
    ca: files.ca === null ? null : files.ca.bytes.toString(),
    crl,
    dial: {
      cert: (files.dial?.cert ?? files.cert).bytes.toString(),
      key: (files.dial?.key ?? files.key).bytes.toString(),
    },
    notAfter: Math.min(pair.value, dial.value),
  })
}

const named = ({ flag, path }: MaterialFile): string => `${flag} ${path}`

/** When the certificate ends. */
function checkPair(cert: MaterialFile, key: MaterialFile): Parsed<number> {
  const certificates = checkCertificates(cert)
  if (!certificates.ok) return certificates
  let secret: KeyObject
  try {
    secret = createPrivateKey(key.bytes)
  } catch {
    return rejected(`${named(key)} holds no private key in PEM that can be used without a passphrase.`)
  }
  const own = certificates.value[0]!
  return own.checkPrivateKey(secret)
    ? accepted(Date.parse(own.validTo))
    : rejected(`The key in ${named(key)} does not belong to the certificate in ${named(cert)}.`)
}

function checkCertificates(file: MaterialFile): Parsed<readonly X509Certificate[]> {
  const blocks = pemBlocks(file.bytes.toString(), 'CERTIFICATE')
  if (blocks.length === 0) return rejected(`${named(file)} holds no certificate in PEM.`)
  try {
    return accepted(blocks.map(block => new X509Certificate(block)))
  } catch {
    return rejected(`${named(file)} holds a certificate that cannot be read.`)
  }
}

/** PEM as it is; anything else is taken for DER. */
function revocationLists(bytes: Buffer): readonly string[] {
  const blocks = pemBlocks(bytes.toString('latin1'), 'X509 CRL')
  if (blocks.length > 0 || bytes.length === 0) return blocks
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`]
}

const pemBlocks = (text: string, label: string): readonly string[] =>
  text.match(new RegExp(`-----BEGIN ${label}-----[\\s\\S]*?-----END ${label}-----`, 'g')) ?? []
