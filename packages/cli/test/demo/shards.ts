import t from 'tap'
import { Bank, type BankReport } from '../process/bank.js'
import { Cluster } from '../process/cluster.js'
import { kvorum } from '../process/realEtcd.js'
import type { ServerProcess } from '../process/serverProcess.js'
import { until } from '../process/until.js'

/**
 * What docs/sharding.md shows, carried out: three nodes under load are split, two more join and fill, one of the
 * first three dies for good and what it held is made again elsewhere. Prints what an operator would type and see.
 */

const NAMES = 'abcdefghijklmnop'.split('')
const FLAGS = ['--replicas=3', '--dead-node-after=10s']

t.setTimeout(900_000)

const begun = performance.now()
const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}
const tell = (text: string): void => say(`\n# ${((performance.now() - begun) / 1_000).toFixed(1)} s: ${text}`)

/** As `-w json` prints them: what is 0 is left out. */
interface ShardsJson {
  readonly shards: readonly {
    readonly replica_ids: readonly unknown[]
    readonly leader_id?: unknown
    readonly state?: number
  }[]
  readonly nodes: readonly { readonly name: string; readonly shards?: number; readonly leads?: number }[]
}

class Operator {
  readonly #nodes: () => readonly ServerProcess[]

  constructor(nodes: () => readonly ServerProcess[]) {
    this.#nodes = nodes
  }

  async #run(...argv: string[]) {
    const endpoints = this.#nodes().map(({ plan }) => new URL(plan.clientUrl).host)
    return await kvorum(...argv, `--endpoints=${endpoints.join()}`, '--command-timeout=20s')
  }

  /** Types the command and shows what it prints; refusals that pass are waited out. */
  async type(...argv: string[]): Promise<string> {
    say(`$ kvorum ${argv.join(' ')}`)
    const printed = await until(`kvorum ${argv.join(' ')}`, async () => {
      const { status, stdout } = await this.#run(...argv)
      return status === 0 ? stdout : null
    })
    // What follows an empty line tells how a member is started.
    say(printed.split('\n\n')[0]!.trimEnd())
    return printed
  }

  /** Waits until the map is as wanted, nothing is under way, and every shard is led. */
  settled(what: string, isSo: (shards: ShardsJson) => boolean): Promise<ShardsJson> {
    return until(
      what,
      async () => {
        const { status, stdout } = await this.#run('shard', 'list', '-w', 'json')
        if (status !== 0) return null
        const view = JSON.parse(stdout) as ShardsJson
        const isQuiet = view.shards.every(
          ({ state = 0, leader_id }) => state === 0 && leader_id !== undefined,
        )
        return isQuiet && isSo(view) ? view : null
      },
      180_000,
    )
  }
}

const heldBy = ({ nodes }: ShardsJson, name: string): number =>
  nodes.find(node => node.name === name)?.shards ?? 0

async function join(cluster: Cluster, operator: Operator, name: string): Promise<ServerProcess> {
  const { server, peerUrl } = await cluster.newcomer(name, null, FLAGS)
  await operator.type('member', 'add', name, `--peer-urls=${peerUrl}`)
  server.start()
  await server.healthy()
  cluster.nodes.push(server)
  return server
}

t.test('shards, shown', async t => {
  const cluster = await Cluster.start(t, { flags: FLAGS })
  const operator = new Operator(() => cluster.nodes.filter(node => node.runs))
  const bank = await Bank.open(cluster.endpoints, { names: NAMES, workers: 4 })
  tell('three nodes, one shard; four clients move money between sixteen accounts, a watch sees all of it')
  await bank.progress(50)
  await operator.type('shard', 'list', '-w', 'table')

  tell('the shard is split in four')
  for (const at of ['account/e', 'account/i', 'account/m']) await operator.type('shard', 'split', '--at', at)
  await operator.settled('four shards', ({ shards }) => shards.length === 4)
  await bank.progress(50)
  await operator.type('shard', 'list', '-w', 'table')

  tell('two nodes join, and are filled')
  await join(cluster, operator, 'n4')
  await join(cluster, operator, 'n5')
  await operator.settled('both to hold two shards', view =>
    ['n4', 'n5'].every(name => heldBy(view, name) >= 2),
  )
  await bank.progress(50)
  await operator.type('node', 'list', '-w', 'table')

  const [dead] = cluster.nodes
  tell(`${dead!.plan.name} dies for good (kill -9); what it held is made again elsewhere`)
  await dead!.stop('SIGKILL')
  await bank.progress(50)
  await operator.settled('nothing to be left there', view => heldBy(view, dead!.plan.name) === 0)
  await bank.progress(50)
  await operator.type('shard', 'list', '-w', 'table')
  await operator.type('node', 'list', '-w', 'table')

  tell('what the clients have seen')
  const report = await bank.close()
  for (const line of linesOf(report)) say(line)
  t.strictSame([report.failed, report.wrongSums, report.wrongWatches], [[], [], []])
})

const linesOf = (report: BankReport): string[] => [
  `transfers acknowledged: ${report.transfers}; failed: ${report.failed.length}`,
  `attempts made again: ${report.conflicts} lost against others, ${report.repeated} without an answer`,
  `revisions: ${report.revision}; sums that were wrong at one of them, or in a read: ${report.wrongSums.length}`,
  `watch: gaps, doubles or wrong order: ${report.wrongWatches.length}`,
]
