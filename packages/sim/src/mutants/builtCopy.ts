import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant, Patch } from './mutant.js'

/** What the simulator runs on. */
const ROOMS = ['model', 'raft', 'machine', 'placement', 'storage', 'peer', 'node', 'protocol', 'sim']
const REPOSITORY = fileURLToPath(new URL('../../../..', import.meta.url))

/**
 * A copy of the built rooms in a directory of its own, in which the rooms find each other and nobody finds the
 * originals. Everything else is linked.
 */
export class BuiltCopy {
  readonly directory: string

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'kvorum-mutants-'))
    const modules = join(this.directory, 'node_modules')
    mkdirSync(join(modules, '@kvorum'), { recursive: true })
    for (const name of readdirSync(join(REPOSITORY, 'node_modules'))) {
      if (name === '@kvorum' || name.startsWith('.')) continue
      symlinkSync(join(REPOSITORY, 'node_modules', name), join(modules, name))
    }
    for (const room of ROOMS) {
      const target = join(this.directory, 'packages', room)
      const source = join(REPOSITORY, 'packages', room)
      mkdirSync(target, { recursive: true })
      cpSync(join(source, 'package.json'), join(target, 'package.json'))
      cpSync(join(source, 'dist'), join(target, 'dist'), {
        recursive: true,
        filter: path => basename(path) !== 'test' && !path.endsWith('.map') && !path.endsWith('.d.ts'),
      })
      symlinkSync(target, join(modules, '@kvorum', room))
    }
  }

  get simulator(): string {
    return join(this.directory, 'packages/sim/dist/main.js')
  }

  /** Runs `act` with the mutant in place, then takes it out again. */
  with<Value>(mutant: Mutant, act: () => Value): Value {
    const patches: readonly Patch[] = [mutant, ...(mutant.also ?? [])]
    return patches.reduceRight((inner, patch) => () => this.#patched(mutant.id, patch, inner), act)()
  }

  #patched<Value>(id: string, { file, text, replacement }: Patch, act: () => Value): Value {
    const path = join(this.directory, 'packages', file)
    const original = readFileSync(path, 'utf8')
    const places = original.split(text).length - 1
    if (places !== 1) throw new Error(`${id}: its text is in ${file} ${places} times, not once: ${text}`)
    writeFileSync(
      path,
      original.replace(text, () => replacement),
    )
    try {
      return act()
    } finally {
      writeFileSync(path, original)
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
