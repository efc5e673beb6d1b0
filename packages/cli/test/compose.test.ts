import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { clusterIdOf, loadConfig, memberIdOf, type ServerConfig } from '@kvorum/server'

const ROOT = new URL('../../../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')
const HEALTHCHECK = fileURLToPath(new URL('packages/cli/bin/healthcheck.js', ROOT))
/** What a server gives itself for stopping. */
const STOP_SECONDS = 30

interface Service {
  readonly build?: string
  readonly image?: string
  readonly environment: Readonly<Record<string, string>>
  readonly ports: readonly string[]
  readonly volumes: readonly string[]
  readonly init: boolean
  readonly stop_grace_period: string
  readonly healthcheck: { readonly test: readonly string[] }
}
interface Compose {
  readonly version?: string
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose
const services = Object.entries(compose.services)

/** The instructions of the Dockerfile, each with its continuation lines joined. */
const instructions = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter(line => line !== '')
  .map(line => ({ word: line.split(' ', 1)[0]!, rest: line.replace(/^\S+\s+/, '') }))
const lastStage = instructions.slice(instructions.findLastIndex(({ word }) => word === 'FROM'))
const argumentOf = (word: string): string => {
  const [found, ...more] = lastStage.filter(instruction => instruction.word === word)
  if (found === undefined || more.length > 0) throw new Error(`the image must have one ${word}`)
  return found.rest
}
const imageEnvironment = Object.fromEntries(
  argumentOf('ENV')
    .split(/\s+/)
    .map(setting => setting.split('=', 2) as [string, string]),
)

function configOf(t: Test, name: string, service: Service): ServerConfig {
  const outcome = loadConfig({
    argv: [],
    environment: { ...imageEnvironment, ...service.environment },
    readFile: path => {
      throw new Error(`no file is needed, but ${path} was read`)
    },
  })
  if (outcome.kind !== 'run') throw new Error(`${name}: ${JSON.stringify(outcome)}`)
  t.strictSame(outcome.warnings, [], `${name}: every variable is a flag`)
  return outcome.config
}

t.test('the nodes of the compose file make one cluster', async t => {
  const configs = services.map(([name, service]) => configOf(t, name, service))
  t.equal(configs.length, 3)
  const clusters = configs.map(config => clusterIdOf(config.initialCluster, config.initialClusterToken))
  t.equal(new Set(clusters).size, 1, 'one cluster id')
  const members = configs.map(config => memberIdOf(config.advertisePeerUrls, config.initialClusterToken))
  t.equal(new Set(members).size, 3, 'three member ids')
  services.forEach(([name, { volumes }], at) => {
    const config = configs[at]!
    t.equal(config.name, name)
    t.strictSame(config.advertisePeerUrls, [`http://${name}:2380`], 'a name that the network knows')
    t.strictSame(config.advertiseClientUrls, [`http://${name}:2379`])
    t.strictSame(volumes, [`${name}:${config.dataDir}`], 'a volume of its own where the data is')
    t.ok(name in compose.volumes)
  })
})

t.test('the compose file suits both docker-compose 1.29 and Compose v2', async t => {
  t.notOk('version' in compose, 'v2 warns of it, 1.29 does without')
  const images = services.flatMap(([, { build, image }]) => (build === undefined ? [] : [image]))
  t.strictSame(images, [undefined, undefined, undefined], 'no two services build the same image')
  for (const [name, service] of services) {
    t.equal(service.init, true, name)
    const grace = Number(/^([0-9]+)s$/.exec(service.stop_grace_period)?.[1])
    t.ok(grace > STOP_SECONDS, `${name} has time to stop`)
    for (const port of service.ports) t.match(port, /^127\.0\.0\.1:[0-9]+:2379$/)
    const [kind, program, script, path] = service.healthcheck.test
    t.strictSame([kind, program, path], ['CMD', 'node', '/readyz'])
    t.ok(existsSync(new URL(script!, ROOT)), 'the check exists')
  }
  const published = services.flatMap(([, { ports }]) => ports)
  t.equal(new Set(published).size, 3, 'each node has a port of its own')
})

t.test('the image has what the server needs', async t => {
  t.match(argumentOf('USER'), /^[1-9][0-9]*:[1-9][0-9]*$/, 'neither root nor a name to look up')
  const volume = argumentOf('VOLUME')
  t.equal(imageEnvironment['KVORUM_DATA_DIR'], volume)
  t.match(argumentOf('RUN'), new RegExp(`mkdir -m 0700 ${volume} && chown ${argumentOf('USER')} ${volume}`))
  t.equal(argumentOf('EXPOSE'), '2379 2380')
  t.match(argumentOf('HEALTHCHECK'), /"packages\/cli\/bin\/healthcheck\.js", "\/livez"/)
  const copied = new Set(
    instructions.filter(({ word }) => word === 'COPY').flatMap(({ rest }) => rest.split(/\s+/)),
  )
  const { workspaces } = JSON.parse(read('package.json')) as { workspaces: readonly string[] }
  for (const folder of workspaces) t.ok(copied.has(`${folder}/package.json`), `npm ci sees ${folder}`)
  const linked = /ln -s \/opt\/kvorum\/(\S+) \/usr\/local\/bin\/kvorum/.exec(argumentOf('RUN'))?.[1]
  t.ok(existsSync(new URL(linked!, ROOT)), 'the command exists')
  t.equal(argumentOf('ENTRYPOINT'), '["kvorum"]')
})

t.test('installed versions of Compose accept the file', async t => {
  const file = fileURLToPath(new URL('docker-compose.yml', ROOT))
  for (const [program, ...first] of [['docker-compose'], ['docker', 'compose']] as const) {
    const name = [program, ...first].join(' ')
    if (spawnSync(program, [...first, 'version'], { timeout: 20_000 }).status !== 0)
      t.pass(`${name}: not here`)
    else {
      const run = spawnSync(program, [...first, '-f', file, 'config', '-q'], { timeout: 60_000 })
      t.equal(run.status, 0, `${name}: ${String(run.stderr)}`)
      t.equal(String(run.stderr), '', `${name} has no warning`)
    }
  }
})

async function check(argument: string, listen: string): Promise<number | null> {
  const child = spawn(process.execPath, [HEALTHCHECK, argument], {
    env: { KVORUM_LISTEN_CLIENT_URLS: listen },
    stdio: 'ignore',
    timeout: 30_000,
  })
  const [status] = (await once(child, 'exit')) as [number | null]
  return status
}

t.test('the health check tells what the server answers', async t => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(request.url === '/livez' ? 200 : 503).end('so it is\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const everywhere = `http://0.0.0.0:${port},http://10.0.0.1:1`
  t.equal(await check('/livez', everywhere), 0)
  t.equal(await check('/readyz', everywhere), 1)
  t.equal(await check(`http://127.0.0.1:${port}/livez`, ''), 0)
  t.strictSame(asked, ['/livez', '/readyz', '/livez'])
  server.close()
  await once(server, 'close')
  t.equal(await check('/livez', everywhere), 1, 'nobody listens')
})
