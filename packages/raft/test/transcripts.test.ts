import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { formatScript, parseScript, runScript } from './script.js'

/**
 * Every file of testdata is a scenario with its full exchange. KVORUM_REWRITE=1 writes what happens now: read the
 * difference, and keep only what you understand.
 */
const folder = new URL('../../test/testdata/', import.meta.url)

for (const name of readdirSync(folder).sort()) {
  t.test(name, t => {
    const file = new URL(name, folder)
    const blocks = parseScript(readFileSync(file, 'utf8'))
    const happened = runScript(blocks)
    if (process.env['KVORUM_REWRITE']) writeFileSync(file, formatScript(happened))
    else
      for (const [at, block] of happened.entries()) t.equal(block.expected, blocks[at]?.expected, block.input)
    t.end()
  })
}
