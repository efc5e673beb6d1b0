import type { WatchEvent } from './event.js'
import type { KeyValue } from './ops.js'
import type { WatchResponse } from './request.js'

/** What a response or an event costs beside its keys and values. */
const OVERHEAD_BYTES = 64

/**
 * What a watch response is charged with while it waits for its client: by the hub that hands it over, and by
 * the edge that reports it as consumed. Both must count alike, or a stream's share of the queue leaks.
 */
export function watchResponseBytes(response: WatchResponse): number {
  if (response.kind !== 'events') return OVERHEAD_BYTES
  let bytes = OVERHEAD_BYTES
  for (const event of response.events) bytes += watchEventBytes(event)
  return bytes
}

export const watchEventBytes = (event: WatchEvent): number =>
  OVERHEAD_BYTES + keyValueBytes(event.kv) + (event.prev === null ? 0 : keyValueBytes(event.prev))

const keyValueBytes = (kv: KeyValue): number => kv.key.length + kv.value.length
