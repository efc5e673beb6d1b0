import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * Runs the tests of this folder over and over, until one fails or all runs are done: a store is not right
 * because it survived its faults once.
 *
 *     node packages/cli/dist/test/process/repeat.js --runs 20 [kill pause ...]
 */
const FOLDER = fileURLToPath(new URL('.', import.meta.url))

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '20' } },
  allowPositionals: true,
})
const runs = Number(values.runs)
if (!Number.isInteger(runs) || runs < 1) throw new RangeError(`--runs ${values.runs} is not a number of runs`)
const files = readdirSync(FOLDER)
  .filter(name => name.endsWith('.test.js'))
  .filter(name => positionals.length === 0 || positionals.some(wanted => name.startsWith(wanted)))
if (files.length === 0) throw new RangeError(`no test begins with ${positionals.join(' or ')}`)
const logs = mkdtempSync(join(tmpdir(), 'kvorum-repeat-'))

/** Its status; everything it says goes to a file. */
async function runOnce(file: string, log: string): Promise<number> {
  const out = createWriteStream(log)
  const child = spawn(process.execPath, [join(FOLDER, file)], { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.pipe(out, { end: false })
  child.stderr.pipe(out, { end: false })
  const status = await new Promise<number>(resolve => child.once('close', code => resolve(code ?? 1)))
  out.end()
  await finished(out)
  return status
}

for (let run = 1; run <= runs && process.exitCode === undefined; run++) {
  const times: string[] = []
  for (const file of files) {
    const log = join(logs, `${run}-${file}.tap`)
    const start = performance.now()
    const status = await runOnce(file, log)
    times.push(`${file.replace('.test.js', '')} ${((performance.now() - start) / 1000).toFixed(0)} s`)
    if (status === 0) continue
    console.error(`run ${run} of ${runs}: ${file} failed; ${log}`)
    process.exitCode = 1
    break
  }
  if (process.exitCode === undefined) console.log(`run ${run} of ${runs}: ${times.join(', ')}`)
}
