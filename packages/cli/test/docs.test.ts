import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { FLAG_NAMES, FLAGS, FOREIGN_FLAG_NAMES } from '@kvorum/server'
import { COMMANDS } from '#src/run.js'

const ROOT = new URL('../../../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'docs/operating.md',
  'docs/compatibility.md',
  'docs/sharding.md',
]

/** Of a page's tables: what stands beside each flag. */
const flagRows = (page: string): ReadonlyMap<string, string> =>
  new Map(
    [...read(page).matchAll(/^\| `--([a-z0-9-]+)` *\| (.*?) *\|/gm)].map(([, name, beside]) => [
      name!,
      beside!,
    ]),
  )

t.test('the table of flags is the server’s', async t => {
  const rows = flagRows('docs/operating.md')
  const foreign = new Set(FOREIGN_FLAG_NAMES)
  t.strictSame(
    [...rows.keys()],
    FLAG_NAMES.filter(name => !foreign.has(name)),
  )
  t.strictSame(
    [...flagRows('docs/compatibility.md').keys()].filter(name => foreign.has(name)),
    [...foreign],
  )
  for (const name of FLAG_NAMES) {
    const { fallback } = FLAGS[name]
    const written = rows.get(name) ?? ''
    if (/^`.*`$/.test(written)) t.equal(written, `\`${fallback}\``, `default of --${name}`)
  }
})

t.test('links lead somewhere', async t => {
  for (const page of PAGES) {
    const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, target]) => target!)
    for (const target of links)
      t.ok(existsSync(fileURLToPath(new URL(target, new URL(page, ROOT)))), `${page}: ${target}`)
  }
  t.ok(existsSync(fileURLToPath(new URL('LICENSE', ROOT))))
})

t.test('commands and scripts that are written down exist', async t => {
  const names = new Set(COMMANDS.map(({ name }) => name.split(' ')[0]))
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const page of PAGES) {
    const text = read(page)
    for (const [, command] of text.matchAll(/npx kvorum ([a-z]+)/g))
      t.ok(names.has(command), `${page}: ${command}`)
    for (const [, script] of text.matchAll(/npm run ([a-z:]+)/g))
      t.ok(scripts[script!], `${page}: npm run ${script}`)
  }
})
