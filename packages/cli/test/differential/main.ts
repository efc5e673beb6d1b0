import { parseArgs } from 'node:util'
import { runSeeds, reportText } from './campaign.js'
import { isProfileName } from './generate.js'
import { etcdVersion } from '../process/etcdPrograms.js'
import { startPair } from './servers.js'

const usage =
  'usage: test:differential -- [--seeds N] [--from S] [--seed S] [--nodes 1|3] [--only KIND] [--all]'

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '0' },
      seed: { type: 'string' },
      nodes: { type: 'string', default: '1' },
      /** Sequences of one kind, a name of `generate.ts`. */
      only: { type: 'string' },
      /** Goes on after a difference. */
      all: { type: 'boolean', default: false },
    },
  })
  const from = Number(values.seed ?? values.from)
  const seeds = values.seed === undefined ? Number(values.seeds) : 1
  const nodes = Number(values.nodes)
  if (![from, seeds, nodes].every(Number.isSafeInteger)) throw new Error(usage)
  const { only } = values
  if (only !== undefined && !isProfileName(only)) throw new Error(usage)
  const version = etcdVersion()
  if (version === null) throw new Error('etcd is not installed')
  const pairs = await Promise.all(Array.from({ length: Math.min(seeds, 2) }, () => startPair(nodes)))
  try {
    const report = await runSeeds(pairs, {
      from,
      seeds,
      ...(only === undefined ? {} : { only }),
      goOn: values.all,
      say: text => console.log(text),
    })
    console.log(reportText(report, version))
    return report.found.length === 0 ? 0 : 1
  } finally {
    await Promise.all(pairs.map(pair => pair.stop()))
  }
}

main().then(
  status => process.exit(status),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  },
)
