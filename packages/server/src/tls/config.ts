/** How one side, clients or members, is spoken to with TLS. Made of flags and right as a whole. */
export interface TlsConfig {
  readonly side: 'client' | 'peer'
  readonly certificate:
    | { readonly kind: 'files'; readonly certFile: string; readonly keyFile: string }
    /** Made at the first start and kept in the data directory. */
    | { readonly kind: 'selfSigned'; readonly years: number; readonly hosts: readonly string[] }
  /** Shown when this side dials; null: the same as when it is dialled. */
  readonly dialCertificate: { readonly certFile: string; readonly keyFile: string } | null
  /** Whose certificates are taken. With it, a certificate is asked of whoever connects. */
  readonly caFile: string | null
  readonly crlFile: string | null
  /** Whether the certificate's common name tells who the user is. */
  readonly namesUsers: boolean
  readonly allowed: {
    /** Common names, one of which a certificate must have. Empty: any. */
    readonly names: readonly string[]
    /** Hosts, one of which a certificate must cover. Empty: any. */
    readonly hosts: readonly string[]
  }
  /** Any certificate of the authority may speak for any member. */
  readonly anyMember: boolean
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion
  /** For OpenSSL; null: its defaults. */
  readonly ciphers: string | null
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'
