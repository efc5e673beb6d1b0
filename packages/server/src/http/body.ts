import type { IncomingMessage } from 'node:http'
import { LIMITS, ok, refuse, type Result } from '@kvorum/model'

/** A client that has not sent its whole request after this long is given up. */
const BODY_MS = 60_000

/** JSON carries bytes as base64, four characters for three bytes. */
export const bodyBytesMax = (requestBytesMax: number): number =>
  Math.ceil(((requestBytesMax + LIMITS.requestOverheadBytes) * 4) / 3)

/** The whole body, of at most `bytesMax`. Never rejects. */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Result<Buffer>> {
  // Announced to be too large: nobody need wait for it to come.
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) {
    request.resume()
    return Promise.resolve(refuse('requestTooLarge'))
  }
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let bytes = 0
    const timer = setTimeout(() => settle(refuse('canceled')), BODY_MS)
    const settle = (result: Result<Buffer>): void => {
      clearTimeout(timer)
      request.off('data', take).off('end', done).off('close', gone).off('error', gone)
      // What is still to come is thrown away, so that the answer can be sent.
      if (!result.ok) request.resume()
      resolve(result)
    }
    const take = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes > bytesMax) settle(refuse('requestTooLarge'))
      else chunks.push(chunk)
    }
    const done = (): void => settle(ok(Buffer.concat(chunks)))
    const gone = (): void => settle(refuse('canceled'))
    request.on('data', take).on('end', done).on('close', gone).on('error', gone)
  })
}
