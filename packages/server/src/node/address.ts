import type { Address } from '@kvorum/peer'
import { isLoopback, parseAdvertisedUrl } from '../config/urls.js'

/** Where an advertised URL is dialled. */
export function addressOf(url: string): Address {
  const { hostname, port, protocol } = new URL(url)
  // The standard port of the scheme is left out there.
  const secure = protocol === 'https:'
  const standard = secure ? 443 : 80
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? standard : Number(port), secure }
}

/**
 * What a peer says of itself beside its `known` addresses, as far as it can be dialled. Its own machine under the
 * name that every machine has for itself (the default of a flag, mostly) is nothing that another one could dial.
 */
export const saidAddresses = (urls: readonly string[], known: readonly Address[]): readonly Address[] =>
  urls.flatMap(text => {
    const url = parseAdvertisedUrl(text)
    if (!url.ok || url.value.endpoint.port === 0) return []
    const { endpoint } = url.value
    return isLoopback(endpoint) && !known.some(({ host, port }) => isLoopback({ host, port, secure: false }))
      ? []
      : [endpoint]
  })
