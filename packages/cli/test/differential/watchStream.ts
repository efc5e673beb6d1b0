import type { ClientRequest } from 'node:http'
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import { PATIENCE_MS, type Message } from './target.js'

/** How to talk to the other side. */
interface Line {
  send(request: Message): void
  cut(): void
}

/** A watch stream and everything it has said so far. */
export class WatchStream {
  readonly #line: Line
  readonly said: Message[] = []
  ended: string | null = null
  /** Over the gateway: what a message or an event was as JSON. */
  readonly #texts = new WeakMap<object, unknown>()
  #wake: (() => void)[] = []

  constructor(open: (stream: WatchStream) => Line) {
    this.#line = open(this)
  }

  heard(message: Message, json?: Message): void {
    if (json !== undefined) {
      this.#texts.set(message, json)
      const events = (json['events'] ?? []) as unknown[]
      for (const [at, event] of (message['events'] as Message[]).entries()) this.#texts.set(event, events[at])
    }
    this.said.push(message)
    this.#notify()
  }

  end(why: string): void {
    this.ended ??= why
    this.#notify()
  }

  /** As it came, to be compared: JSON tells more than what is read from it. */
  asItCame(part: Message): unknown {
    return this.#texts.get(part) ?? part
  }

  #notify(): void {
    const woken = this.#wake
    this.#wake = []
    for (const wake of woken) wake()
  }

  send(request: Message): void {
    if (this.ended === null) this.#line.send(request)
  }

  /** Waits until `condition` holds; false: it does not, for a long time. */
  async until(condition: () => boolean, patienceMs = PATIENCE_MS): Promise<boolean> {
    const deadline = performance.now() + patienceMs
    while (!condition() && this.ended === null) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return condition()
  }

  close(): void {
    this.ended ??= 'closed'
    this.#line.cut()
  }
}

export const grpcWatch = (
  calls: ClientDuplexStream<Buffer, Message>,
  encode: (request: Message) => Buffer,
): WatchStream =>
  new WatchStream(stream => {
    calls.on('data', (message: Message) => stream.heard(message))
    calls.on('error', (error: ServiceError) => stream.end(`${error.code} ${error.details}`))
    calls.on('end', () => stream.end('end'))
    return { send: request => calls.write(encode(request)), cut: () => calls.cancel() }
  })

/** One request, whose answer is a line of JSON for each message. */
export const jsonWatch = (
  post: (request: Message) => ClientRequest,
  decode: (result: Message) => Message,
): WatchStream =>
  new WatchStream(stream => {
    let sent: ClientRequest | null = null
    const line = (text: string): void => {
      const { result, error } = JSON.parse(text) as Record<string, Message | undefined>
      if (result !== undefined) stream.heard(decode(result), result)
      else stream.end(`${String(error?.['grpc_code'])} ${String(error?.['message'])}`)
    }
    const send = (request: Message): void => {
      sent = post(request)
      sent.on('error', error => stream.end(error.message))
      sent.on('response', answer => {
        let rest = ''
        answer.setEncoding('utf8').on('data', (text: string) => {
          const lines = (rest + text).split('\n')
          rest = lines.pop()!
          for (const each of lines) if (each !== '') line(each)
        })
        answer.on('end', () => stream.end(`end, HTTP ${answer.statusCode}`))
        answer.on('error', error => stream.end(error.message))
      })
    }
    return { send, cut: () => sent?.destroy() }
  })
