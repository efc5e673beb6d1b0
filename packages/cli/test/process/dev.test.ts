import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { runCluster, type DevOptions } from '#src/dev/cluster.js'
import { planCluster, type NodePlan } from '#src/dev/plan.js'
import { findPortProblem } from '#src/dev/ports.js'
import { kvorum } from './realEtcd.js'

const PROGRAM = fileURLToPath(new URL('./standIn.js', import.meta.url))

/** A plan on ports that nobody uses. */
async function freePlans(nodes: number, directory: string, extra: readonly string[]): Promise<NodePlan[]> {
  for (let portBase = 13_000 + (process.pid % 1000) * 2; ; portBase += 2) {
    const plans = planCluster({ nodes, portBase }, directory, extra)
    if (!plans.ok) throw new Error(plans.reason)
    if ((await findPortProblem(plans.value)) === null) return plans.value
  }
}

/** Everything the cluster says, and a way to wait for it to say something. */
function listener() {
  const lines: string[] = []
  const heard = new EventTarget()
  const tell = (text: string): void => {
    lines.push(...text.split('\n'))
    heard.dispatchEvent(new Event('line'))
  }
  const until = async (pattern: RegExp, from = 0): Promise<RegExpExecArray> => {
    for (;;) {
      for (const line of lines.slice(from)) {
        const match = pattern.exec(line)
        if (match !== null) return match
      }
      await once(heard, 'line')
    }
  }
  return { lines, tell, until }
}

async function start(t: Test, nodes: number, extra: readonly string[], restartAfterMs: number | null) {
  const directory = t.testdir()
  const plans = await freePlans(nodes, directory, extra)
  const { lines, tell, until } = listener()
  const stop = new AbortController()
  const kill = new AbortController()
  const options: DevOptions = {
    plans,
    directory,
    program: [process.execPath, PROGRAM],
    env: process.env,
    restartAfterMs,
    tell,
    relay: (plan, line) => tell(`${plan.name} | ${line}`),
  }
  const ended = runCluster(options, stop.signal, kill.signal)
  t.teardown(async () => {
    kill.abort()
    stop.abort()
    await ended
  })
  return { plans, lines, until, stop, kill, ended }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

t.test('a cluster comes up, loses a node, gets it back, and stops', async t => {
  const { plans, lines, until, stop, ended } = await start(t, 2, [], 100)
  const [, pid = ''] = await until(/node-1 .*process (\d+) +leader, term 2/)
  await until(/node-2 .*follower/)
  await until(/^node-2 \| warn: I am node-2$/)
  t.notMatch(lines.join('\n'), 'answering clients', 'what is no warning stays in the log')

  const before = lines.length
  process.kill(Number(pid), 'SIGKILL')
  await until(new RegExp(`^node-1 \\(process ${pid}\\) was killed by SIGKILL; it starts again in 0.1 s`))
  await until(/^node-1 \| warn: I am node-1$/, before)

  stop.abort()
  t.equal(await ended, true)
  const log = readFileSync(plans[0]!.logFile, 'utf8')
  t.equal(log.match(/answering clients/g)?.length, 2, 'both lives are in one log')
  t.match(log, 'asked to stop')
  t.equal(await findPortProblem(plans), null, 'nobody is left')
})

t.test('a node that cannot start ends the whole cluster, with its own sentence', async t => {
  const { until, ended, plans } = await start(t, 2, ['--test-refuse'], 100)
  t.equal(await ended, false)
  await until(/^node-[12] \| kvorum: The data directory is not a directory\.$/)
  await until(/^node-[12] \(process \d+\) ended with status 1; it stays down\.$/)
  t.equal(await findPortProblem(plans), null)
})

t.test('what no server would take is refused once, and leaves nothing behind', async t => {
  const directory = join(t.testdir(), 'cluster')
  const said = async (...argv: string[]) => {
    const { status, stderr } = await kvorum('dev', `--data-dir=${directory}`, ...argv)
    return { status, stderr }
  }
  t.strictSame(await said('foo'), { status: 1, stderr: 'Error: kvorum dev: "foo" is not a flag.\n' })
  t.match(await said('--', '--nope'), { status: 1, stderr: /^Error: kvorum dev: .*nope.*\n$/ })
  t.match(await said('--initial-split-keys=m,b'), { status: 1, stderr: /must be sorted/ })
  t.notOk(existsSync(join(directory, 'cluster.json')))
})

t.test('without restarts a lost node stays down, and losing all is the end', async t => {
  const { until, ended } = await start(t, 1, [], null)
  const [, pid = ''] = await until(/process (\d+) +leader/)
  process.kill(Number(pid), 'SIGKILL')
  await until(/was killed by SIGKILL; it stays down/)
  t.equal(await ended, false)
})

t.test('a second signal does not wait for a node that does not stop', async t => {
  const { until, stop, kill, ended } = await start(t, 1, ['--test-deaf'], null)
  const [, pid = ''] = await until(/process (\d+) +leader/)
  stop.abort()
  await until(/^Stopping\.$/)
  kill.abort()
  t.equal(await ended, false)
  t.equal(isAlive(Number(pid)), false)
})
