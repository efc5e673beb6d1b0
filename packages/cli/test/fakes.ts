import type { Connection, ConnectOptions } from '#src/connection.js'
import type { Environment, Io } from '#src/io.js'
import { codec, rpcNamed } from '@kvorum/protocol'
import type { RpcName } from '@kvorum/protocol'

/** What a command was given and what it did with it. */
export interface Recorder {
  readonly io: Io
  readonly calls: { readonly name: string; readonly request: unknown }[]
  readonly connects: ConnectOptions[]
  out(): string
  err(): string
  /** What the terminal was asked for. */
  readonly prompts: string[]
  closed(): number
}

export interface Script {
  readonly env?: Environment
  readonly input?: string
  /** Answers as JSON of the API, by name of the RPC; an Error is what the call fails with. */
  readonly answers?: Partial<Record<RpcName, object | Error>>
  readonly watch?: readonly object[]
  readonly keepAlive?: readonly object[]
  readonly connectError?: Error
  /** Endpoints that nobody listens on. */
  readonly down?: readonly string[]
  /** What is typed at the terminal when asked; without, there is none. */
  readonly secrets?: readonly string[]
  /** The pieces of a snapshot. */
  readonly snapshot?: readonly Uint8Array[]
}

const HEADER = { cluster_id: '18446744073709551615', member_id: '10', revision: '7', raft_term: '2' }

export function record(script: Script = {}): Recorder {
  const out: Uint8Array[] = []
  const err: string[] = []
  const calls: { name: string; request: unknown }[] = []
  const connects: ConnectOptions[] = []
  const prompts: string[] = []
  let closed = 0
  let clock = 0
  const answer = (name: RpcName): unknown => {
    const given = script.answers?.[name] ?? {}
    if (given instanceof Error) throw given
    return codec(rpcNamed(name).response).fromJson({ header: HEADER, ...given })
  }
  const connection: Connection = {
    call: async (name, request) => {
      calls.push({ name, request })
      return answer(name) as never
    },
    watch: async function* (request) {
      calls.push({ name: 'watch', request })
      for (const each of script.watch ?? [])
        yield codec('etcdserverpb.WatchResponse').fromJson({ header: HEADER, ...each })
    },
    keepAlive: async function* (lease) {
      calls.push({ name: 'keepAlive', request: lease })
      for (const each of script.keepAlive ?? [])
        yield codec('etcdserverpb.LeaseKeepAliveResponse').fromJson({ header: HEADER, ...each })
    },
    snapshot: async function* () {
      calls.push({ name: 'snapshot', request: null })
      for (const blob of script.snapshot ?? []) yield { header: null, remaining_bytes: 0, blob, version: '' }
    },
    close: async () => void closed++,
  }
  const input = script.input ?? ''
  const askSecret = async (prompt: string): Promise<string> => {
    prompts.push(prompt)
    const secret = script.secrets?.[prompts.length - 1]
    if (secret === undefined) throw new Error('no password was typed')
    return secret
  }
  const io: Io = {
    env: script.env ?? {},
    write: output => void out.push(Buffer.from(output)),
    say: line => void err.push(line),
    readInput: async () => Buffer.from(input),
    readLines: async function* () {
      if (input !== '') yield* input.split('\n')
    },
    // A millisecond and a half for everything that is timed.
    now: () => (clock += 1.5),
    askSecret: script.secrets === undefined ? null : askSecret,
    connect: async options => {
      connects.push(options)
      if (script.connectError !== undefined) throw script.connectError
      const down = options.endpoints.find(endpoint => script.down?.includes(endpoint))
      if (down !== undefined) throw new Error(`${down}: connection failed`)
      return connection
    },
  }
  return {
    io,
    calls,
    connects,
    prompts,
    out: () => Buffer.concat(out).toString('utf8'),
    err: () => err.join('\n'),
    closed: () => closed,
  }
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A key and its value as JSON of the API. */
export const pair = (key: string, value: string, more: object = {}): object => ({
  key: base64(key),
  value: base64(value),
  create_revision: '2',
  mod_revision: '3',
  version: '1',
  ...more,
})
