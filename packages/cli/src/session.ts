import { DONE } from './command.js'
import type { Connection } from './connection.js'
import { connectOptions, endpointsOf, type GlobalValues } from './globals.js'
import type { Io } from './io.js'

/** Connects to any of the endpoints, runs, and closes however it ends. */
export async function withConnection(
  io: Io,
  globals: GlobalValues,
  run: (connection: Connection) => Promise<number | void>,
): Promise<number> {
  const connection = await io.connect(connectOptions(globals, io.env, endpointsOf(globals, io.env)))
  try {
    return (await run(connection)) ?? DONE
  } finally {
    await connection.close()
  }
}
