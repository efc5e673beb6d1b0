import type { Command } from '../command.js'
import { DONE } from '../command.js'

/** The flags, the help and the refusals are the server's own. */
export const server: Command = {
  name: 'server',
  usage: '[flags]',
  summary: 'Runs one node of a cluster.',
  flags: {},
  execute: async (_io, argv) => {
    // Only now: no other command needs the state store and its native code.
    const { createClusterNode, runServerProcess } = await import('@kvorum/server')
    await runServerProcess({
      argv,
      createNode: createClusterNode,
    })
    return DONE
  },
}
