import { fileURLToPath } from 'node:url'
import t from 'tap'
import { importsOf, parse } from './architecture/imports.js'
import { LEVELS, SOURCE_LINES_MAX } from './architecture/rooms.js'
import { checkSource, findCycles } from './architecture/sourceRules.js'
import { readWorkspace, rootReferences } from './architecture/workspace.js'

t.setTimeout(300_000)

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const rooms = readWorkspace(ROOT)
const internal = (names: readonly string[]): string[] =>
  names.filter(name => name.startsWith('@kvorum/')).map(name => name.slice('@kvorum/'.length))

t.test('every room has a level, and every level a room', async t => {
  t.strictSame(rooms.map(room => room.name).sort(), Object.keys(LEVELS).sort())
  for (const room of rooms) t.equal(room.packageName, room.name === 'cli' ? 'kvorum' : `@kvorum/${room.name}`)
})

t.test('src: imports go down and through doors, and the core is pure', async t => {
  for (const room of rooms) {
    t.strictSame(
      room.files.flatMap(file => checkSource(file, room.dependencies)),
      [],
      room.name,
    )
    t.strictSame(findCycles(room.files), [], `${room.name} has no circle of files`)
  }
})

t.test('tests: other rooms only through their doors', async t => {
  for (const room of rooms) {
    const deep = room.testFiles.flatMap(file =>
      importsOf(parse(file.path, file.text))
        .filter(({ specifier }) => /^@kvorum\/[^/]+\/./.test(specifier) || /(^|\/)src\//.test(specifier))
        .filter(({ specifier }) => !specifier.startsWith('#src/'))
        .map(({ specifier, line }) => `${room.name}/test/${file.path}:${line}: ${specifier}`),
    )
    t.strictSame(deep, [], room.name)
  }
})

t.test('package.json and tsconfig.json tell the same graph', async t => {
  for (const room of rooms) {
    const below = internal(room.dependencies)
    t.strictSame(room.references, below, `${room.name}: references are its dependencies`)
    for (const name of below)
      t.ok((LEVELS[name] ?? Infinity) < (LEVELS[room.name] ?? -1), `${room.name} stands on ${name}`)
    if (room.name !== 'bench') t.strictSame(room.doors, ['.', './package.json'], `${room.name} has one door`)
  }
  const built = rooms.flatMap(room => [room.folder, `${room.folder}/test`])
  t.strictSame(rootReferences(ROOT), built, 'the root builds everything')
})

/** The rules themselves: [room, path, text, what the only complaint must say]; no complaint expected: null. */
const SNIPPETS: readonly (readonly [string, string, string, RegExp | null])[] = [
  ['raft', 'a.ts', `import { utf8 } from '@kvorum/model'`, null],
  ['raft', 'a.ts', `import type { X } from '@kvorum/machine'`, /not below raft/],
  ['model', 'a.ts', `export * from '@kvorum/raft'`, /not below model/],
  ['server', 'a.ts', `const x: import('@kvorum/cli').X = 1`, /not below server/],
  ['cli', 'a.ts', `import { x } from '@kvorum/sim'`, /not below cli/],
  ['server', 'a.ts', `import { x } from '@kvorum/model/dist/bytes.js'`, /past the door of model/],
  ['server', 'a.ts', `const x = await import('@kvorum/nowhere')`, /is not a room/],
  ['server', 'a.ts', `import { x } from 'kvorum'`, /is not a room/],
  ['server', 'a.ts', `import { x } from '@kvorum/placement'`, /not among the room's dependencies/],
  ['server', 'a.ts', `import { x } from 'left-pad/lib/x.js'`, /left-pad is not among/],
  ['server', 'a.ts', `import { x } from 'known/lib/x.js'`, null],
  ['server', 'a.ts', `import { x } from '@scope/known/y'`, null],
  ['server', 'a.ts', `import { x } from '#src/b.js'`, /for tests/],
  ['server', 'a.ts', `const x = await import(name)`, /hides what is imported/],
  ['server', 'a.ts', `import { x } from '../../model/src/x.js'`, /leaves the room/],
  ['server', 'http/a.ts', `import { x } from '../b.js'`, null],
  ['server', 'a.ts', `import { x } from './b'`, /lacks \.js/],
  ['server', 'a.ts', `import { x } from 'fs'`, /lacks node:/],
  ['server', 'a.ts', `import { x } from 'node:fs'\nawait x(Date.now(), process.pid)`, null],
  ['raft', 'a.ts', `import { x } from 'node:zlib'`, /node:zlib in a deterministic/],
  ['raft', 'a.ts', `const x = require('crypto')`, /crypto in a deterministic/],
  ['raft', 'a.ts', `const now = Date.now()`, /^raft\/src\/a\.ts:1: Date in/],
  ['raft', 'a.ts', `const at: Date | null = null`, /Date in/],
  ['raft', 'a.ts', `\n\nconst x = Math.random()`, /:3: Math\.random in/],
  ['raft', 'a.ts', `const { random } = Math`, /Math\.random in/],
  ['raft', 'a.ts', `const x = Math.max(1, 2) + source.random()`, null],
  ['raft', 'a.ts', `const x = setTimeout(f, 1)`, /setTimeout in/],
  ['raft', 'a.ts', `const x = globalThis['Date']`, /globalThis in/],
  ['raft', 'a.ts', `const x = process.hrtime()`, /process in/],
  ['raft', 'a.ts', `const x = performance.now()`, /performance in/],
  ['raft', 'a.ts', `async function f() { await g() }`, /await in/],
  ['raft', 'a.ts', `async function f() { for await (const x of g()) h(x) }`, /await in/],
  ['raft', 'a.ts', `// await Date.now()\nconst x = 'process.exit' + \`Math.random\``, null],
  ['raft', 'a.ts', `const x = { process: 1, Date: 2 }\nconst y = x.process + x.Date`, null],
  ['raft', 'a.ts', `interface A { process(): void; Date: number }`, null],
  ['raft', 'a.ts', `const { process: step } = machine`, null],
  ['raft', 'a.ts', `const x = { process }`, /process in/],
  ['node', 'turn.ts', `const now = Date.now()`, /Date in/],
  ['node', 'driver/clock.ts', `import { x } from 'node:fs'\nexport const now = () => Date.now()`, null],
  ['node', 'turn.ts', `import { now } from './driver/clock.js'`, /waits for the outside world/],
  ['node', 'index.ts', `export * from './driver/clock.js'`, null],
  ['node', 'driver/loop.ts', `import { turn } from '../turn.js'`, null],
  ['server', 'a.ts', `const x: any = 1`, /"any"/],
  ['server', 'a.ts', `const x = y as any`, /"any"/],
  ['server', 'a.ts', `const x = y as unknown // not any`, null],
  ['server', 'a.ts', `export default 1`, /default export/],
  ['server', 'a.ts', `export default function f() {}`, /default export/],
  ['server', 'a.ts', `const x = 1\nexport { x as default }`, /default export/],
  ['server', 'a.ts', `switch (x) { default: f() }`, null],
  ['server', 'a.ts', '\n'.repeat(SOURCE_LINES_MAX + 1), /601 lines/],
  ['server', 'a.ts', '// Generated from b' + '\n'.repeat(SOURCE_LINES_MAX + 1), null],
]

t.test('the rules find what they forbid, and only that', async t => {
  const dependencies = ['@kvorum/model', 'known', '@scope/known']
  for (const [room, path, text, complaint] of SNIPPETS) {
    const problems = checkSource({ room, path, text }, dependencies)
    const name = text.length > 80 ? `${room}: long file` : `${room}: ${JSON.stringify(text)}`
    if (complaint === null) t.strictSame(problems, [], name)
    else {
      t.equal(problems.length, 1, `${name} has one problem`)
      t.match(problems[0], complaint, name)
    }
  }
})

t.test('circles of files are found; circles of types are none', async t => {
  const file = (path: string, text: string) => ({ room: 'server', path, text })
  const circle = [
    file('a.ts', `import { b } from './deep/b.js'`),
    file('deep/b.ts', `export { c } from '../c.js'`),
    file('c.ts', `import { a } from './a.js'`),
  ]
  t.strictSame(findCycles(circle), [['a.ts', 'deep/b.ts', 'c.ts', 'a.ts']])
  t.strictSame(findCycles([...circle.slice(0, 2), file('c.ts', `import type { A } from './a.js'`)]), [])
  t.strictSame(findCycles([...circle.slice(0, 2), file('c.ts', `import { type A } from './a.js'`)]), [])
  t.strictSame(findCycles([file('a.ts', `import { x } from './a.js'`)]), [['a.ts', 'a.ts']])
})
