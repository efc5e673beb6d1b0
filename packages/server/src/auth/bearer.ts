/** A token as metadata or a header carries it, with or without the scheme in front; '' where there is none. */
export const tokenOf = (sent: string | Uint8Array | undefined): string =>
  sent === undefined
    ? ''
    : String(sent)
        .replace(/^bearer +/i, '')
        .trim()
