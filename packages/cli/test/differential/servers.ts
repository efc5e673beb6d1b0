import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, planServers } from '../process/cluster.js'
import { ETCD_ENVIRONMENT, etcdVersion } from '../process/etcdPrograms.js'
import { ServerProcess } from '../process/serverProcess.js'
import { holds } from '../process/until.js'
import { Target } from './target.js'

/** Both servers that are compared, and how to end them. */
export interface Pair {
  readonly etcd: Target
  readonly kvorum: Target
  /** etcd is a 3.4: some of what it does is otherwise in all later versions, which we follow. */
  readonly isOld: boolean
  stop(): Promise<void>
}

/** In memory where there is such a place: nothing here is about disks. */
const directoryOf = (name: string): string =>
  mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `kvorum-${name}-`))

/** Both with an empty store; `nodes` of kvorum. */
export async function startPair(nodes: number): Promise<Pair> {
  const directory = directoryOf('differential')
  const plans = await planServers(directory, { nodes })
  const servers = plans.map(plan => new ServerProcess(plan))
  const etcd = await startEtcd(directory)
  for (const server of servers) server.start()
  const kvorum = new Target(
    'kvorum',
    plans.map(({ clientUrl }) => new URL(clientUrl).host),
  )
  const stop = async (): Promise<void> => {
    etcd.target.close()
    kvorum.close()
    etcd.child.kill('SIGKILL')
    await Promise.all(servers.map(server => server.stop('SIGKILL')))
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    for (const server of servers) await server.healthy()
    await holds('etcd to answer', async () => (await etcd.target.grpc(RANGE, ANY)).kind === 'ok')
  } catch (error) {
    await stop()
    throw error
  }
  return { etcd: etcd.target, kvorum, isOld: etcdVersion()?.startsWith('3.4.') === true, stop }
}

const RANGE = 'etcdserverpb.KV/Range'
const ANY = { key: Buffer.from('a') }

async function startEtcd(directory: string): Promise<{ target: Target; child: ChildProcess }> {
  const [client, peer] = await freePorts(2)
  const clientUrl = `http://127.0.0.1:${client}`
  const peerUrl = `http://127.0.0.1:${peer}`
  const child = spawn(
    'etcd',
    [
      '--name=etcd',
      `--data-dir=${join(directory, 'etcd')}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=etcd=${peerUrl}`,
      '--log-level=error',
      '--bcrypt-cost=4',
      '--logger=zap',
    ],
    { stdio: 'ignore', env: ETCD_ENVIRONMENT },
  )
  return { target: new Target('etcd', [`127.0.0.1:${client}`]), child }
}
