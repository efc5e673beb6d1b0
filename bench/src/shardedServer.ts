import { utf8 } from '@kvorum/model'
import { createClusterNode, runServerProcess } from '@kvorum/server'

/**
 * A server like any other, of a cluster that begins with many shards: their number, then the server's flags. An
 * operator has no way to ask for that many at once.
 */
const [shards = '1', ...argv] = process.argv.slice(2)

const splitKeys = Array.from({ length: Number(shards) - 1 }, (_, i) =>
  utf8(`shard/${String(i + 1).padStart(6, '0')}`),
)

await runServerProcess({ argv, createNode: setup => createClusterNode({ ...setup, splitKeys }) })
