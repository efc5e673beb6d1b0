/**
 * A token as metadata or a header carries it, with or without the scheme in front; '' where there is none. A header that
 * was sent twice, as python3-etcd3 does over TLS, comes as one list: its first value counts, and no token has a comma.
 */
export const tokenOf = (sent: string | Uint8Array | undefined): string =>
  sent === undefined
    ? ''
    : String(sent)
        .split(',', 1)[0]!
        .replace(/^bearer +/i, '')
        .trim()
