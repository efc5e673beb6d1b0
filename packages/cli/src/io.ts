import type { Connection, ConnectOptions } from './connection.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** Everything a command touches besides its arguments. Tests hand in fakes. */
export interface Io {
  readonly env: Environment
  /** To standard output, as it is. */
  write(output: string | Uint8Array): void
  /** To standard error; a line for people. */
  say(line: string): void
  /** All of standard input. */
  readInput(): Promise<Uint8Array>
  readLines(): AsyncIterable<string>
  /** Milliseconds of a clock that only goes forward. */
  now(): number
  /** One line typed without being shown, after a prompt; null where nobody sits at a terminal. */
  readonly askSecret: ((prompt: string) => Promise<string>) | null
  connect(options: ConnectOptions): Promise<Connection>
}
