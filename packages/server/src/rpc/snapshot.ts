import { createHash } from 'node:crypto'
import type { Edge } from '../edge/edge.js'
import { ETCD_CLUSTER_VERSION } from '../version.js'
import { responseHeader } from '../edge/edge.js'
import { failure } from '../edge/unary.js'
import type { ResponseOf, StreamOut, Streaming } from './handler.js'

const NAME = 'etcdserverpb.Maintenance/Snapshot'
/** As etcd sends them; clients do not care, but the last one is the hash alone. */
const BLOB_BYTES = 32 * 1024
/** Blobs that the transport has not taken: the file is not read faster than the client takes it. */
const BLOBS_AHEAD = 4

type Out = StreamOut<ResponseOf<typeof NAME>>

/** A file in etcd's format of all that this node knows, then its SHA-256. Ends with the client. */
export const snapshot: Streaming<typeof NAME> = (edge, out) => {
  const gone = new AbortController()
  return {
    receive: () => {
      makeAndSend(edge, out, gone.signal).catch((error: unknown) => out.end(failure(edge, NAME, error).error))
    },
    halfClosed: () => undefined,
    closed: () => gone.abort(),
  }
}

async function makeAndSend(edge: Edge, out: Out, signal: AbortSignal): Promise<void> {
  const made = await edge.snapshots.make(signal)
  if (!made.ok) {
    out.end(made.error)
    return
  }
  const file = made.value
  try {
    const header = responseHeader(edge, edge.node.status().header)
    const send = sender(out, signal)
    const hash = createHash('sha256')
    for (let offset = 0; offset < file.bytes;) {
      const blob = await file.read(offset, Math.min(BLOB_BYTES, file.bytes - offset))
      if (blob.length === 0) throw new Error('the snapshot file has shrunk')
      offset += blob.length
      hash.update(blob)
      await send({ header, remaining_bytes: file.bytes - offset, blob, version: ETCD_CLUSTER_VERSION })
      if (signal.aborted) return
    }
    await send({ header, remaining_bytes: 0, blob: hash.digest(), version: ETCD_CLUSTER_VERSION })
    out.end()
  } finally {
    await file.close()
  }
}

/** Sends, and waits where too much is under way. Returns at once when the client has gone. */
function sender(out: Out, signal: AbortSignal): (message: ResponseOf<typeof NAME>) => Promise<void> {
  let ahead = 0
  let wake: (() => void) | null = null
  const goOn = (): void => {
    wake?.()
    wake = null
  }
  signal.addEventListener('abort', goOn, { once: true })
  return async message => {
    while (ahead >= BLOBS_AHEAD && !signal.aborted) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    ahead++
    out.send(message, () => {
      ahead--
      goOn()
    })
  }
}
