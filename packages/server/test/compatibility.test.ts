import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { RPCS } from '@kvorum/protocol'
import { FLAG_NAMES } from '@kvorum/server'

const ROOT = new URL('../../../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')
const page = read('docs/compatibility.md')

/** Cells of the rows of all tables, without their headings. */
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter(line => line.startsWith('| ') && !line.startsWith('| -'))
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    )
const rows = rowsOf(page)

t.test('every RPC of etcd has a row that says what it does here, with its paths', async t => {
  const services = new Set(RPCS.map(rpc => rpc.service).filter(service => !service.startsWith('kvorum.')))
  for (const service of services) {
    const section = page.split(`### ${service}\n`)[1]?.split('\n#')[0] ?? ''
    for (const rpc of RPCS.filter(one => one.service === service)) {
      const row = rows.find(([name]) => name === `\`${rpc.method}\`` && section.includes(`| ${name} `))
      if (!t.ok(row, rpc.name)) continue
      const line = section.split('\n').find(text => text.startsWith(`| \`${rpc.method}\` `)) ?? ''
      for (const path of rpc.gateway) t.ok(line.includes(`\`${path}\``), `${rpc.name}: ${path}`)
      t.match(line, /\| (works|differs: .|refused: .|our own)/, rpc.name)
    }
  }
})

t.test('every test that is named exists', async t => {
  let named = 0
  const past = read('docs/testing.md').split('## Past CVEs\n')[1]!.split('\n## ')[0]!
  for (const row of [...rows, ...rowsOf(past)]) {
    for (const [, file, name] of (row.at(-1) ?? '').matchAll(/`([\w/.]+\.ts)`(?: "([^"]+)")?/g)) {
      named++
      const path = `packages/${file}`
      if (!t.ok(existsSync(new URL(path, ROOT)), path)) continue
      if (name !== undefined) t.ok(read(path).includes(name), `${path}: ${name}`)
    }
  }
  t.ok(named > 60, 'one for each RPC at least')
})

t.test('every deviation has an id of its own', async t => {
  const ids = [...page.matchAll(/^\| `([a-z0-9]+(?:-[a-z0-9]+)+)` +\|/gm)].map(([, id]) => id)
  t.ok(ids.length > 5)
  t.equal(new Set(ids).size, ids.length)
  for (const [, used] of page.matchAll(/works, but for ([^|]+)\|/g))
    for (const [, id] of used!.matchAll(/`([^`]+)`/g)) t.ok(ids.includes(id), `deviation ${id}`)
})

t.test('every flag is on one of the pages', async t => {
  const pages = page + read('docs/operating.md')
  for (const name of FLAG_NAMES) t.ok(pages.includes(`| \`--${name}\``), name)
})
