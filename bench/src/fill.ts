import type { Http2Connection, Reply } from './http2/connection.js'
import { METHOD } from './messages.js'
import { fillRequests, type KeySpace } from './requests.js'

const IN_FLIGHT = 16
const SILENCE_MS = 30_000

/** Writes every key of the space once. Rejects on the first refusal, and when no answer comes any more. */
export function fill(connection: Http2Connection, space: KeySpace): Promise<void> {
  const requests = fillRequests(space)
  let running = IN_FLIGHT
  let answers = 0
  let silence: NodeJS.Timeout
  return new Promise<void>((resolve, reject) => {
    silence = setInterval(() => {
      if (answers === 0) reject(new Error(`fill: no answer for ${SILENCE_MS} ms`))
      answers = 0
    }, SILENCE_MS)
    const next = (): void => {
      const { value, done } = requests.next()
      if (done === true) {
        if (--running === 0) resolve()
        return
      }
      connection.request({ path: METHOD.txn, message: value, done: answered })
    }
    const answered = (reply: Reply): void => {
      answers++
      if (reply.status === 0 && reply.bytes > 0) next()
      else reject(new Error(`fill: status ${reply.status} ${reply.text}`))
    }
    for (let i = 0; i < IN_FLIGHT; i++) next()
  }).finally(() => clearInterval(silence))
}
