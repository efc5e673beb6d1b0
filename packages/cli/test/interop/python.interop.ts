import { fileURLToPath } from 'node:url'
import t from 'tap'
import { hostsOf, MODES, roles, startAccess, type Access } from './access.js'
import { missing, run } from './program.js'

t.setTimeout(900_000)

/** Debian's own, which has Debian's packages; another may come first in the path. */
const PYTHON = '/usr/bin/python3'
const CLIENTS = [
  { name: 'python3-etcd3', module: 'etcd3', script: 'etcd3_client.py' },
  { name: 'python3-etcd3gw', module: 'etcd3gw', script: 'etcd3gw_client.py' },
]

/** Scripts are not compiled: they stay beside the sources. */
const scriptPath = (name: string): string =>
  fileURLToPath(new URL(`../../../test/interop/${name}`, import.meta.url))

function argumentsFor(access: Access, at: number): string[] {
  const [host, port] = hostsOf(access)[at]!.split(':') as [string, string]
  const { ca, cert, key, user } = access
  return [host, port, ...[ca, cert, key, user?.name, user?.password].map(word => word ?? '-')]
}

for (const { name, module, script } of CLIENTS) {
  const skip = missing(PYTHON, ['-c', `import ${module}`], name)
  for (const mode of MODES)
    t.test(`${name}, ${mode}: every node, and again when the leader has been killed`, { skip }, async t => {
      const access = await startAccess(t, mode)
      const { cluster } = access
      const talk = async (at: number, what: string): Promise<void> => {
        const ran = await run(PYTHON, [scriptPath(script), ...argumentsFor(access, at)])
        if (ran.status !== 0) t.comment(ran.stderr)
        t.match(ran, { status: 0, stdout: /^\d\d checks\n$/ }, `${what} ${cluster.nodes[at]!.plan.name}`)
      }
      const { leader, follower } = await roles(access)
      await talk(cluster.nodes.indexOf(leader), 'the leader')
      await talk(cluster.nodes.indexOf(follower), 'a follower')
      await leader.stop('SIGKILL')
      await cluster.leader(cluster.others(leader))
      await talk(cluster.nodes.indexOf(follower), 'without the old leader')
      leader.start()
      await cluster.healthy()
    })
}
