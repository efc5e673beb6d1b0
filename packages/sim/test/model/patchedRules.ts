import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Rules } from '#src/model/rules.js'

/** `text` must be in the built file exactly once, so that a patch that no longer means anything is noticed. */
export interface Patch {
  /** In placement's dist/revisions. */
  readonly file: string
  readonly text: string
  readonly replacement: string
}

/** Copies of the built production functions, each with a mistake laid over it. */
export class PatchedRules {
  readonly #directory = mkdtempSync(join(tmpdir(), 'kvorum-rules-'))
  readonly #source = join(dirname(roomOf('placement')), 'revisions')
  #copies = 0

  constructor() {
    mkdirSync(join(this.#directory, 'node_modules/@kvorum'), { recursive: true })
    writeFileSync(join(this.#directory, 'package.json'), '{ "type": "module" }')
    symlinkSync(dirname(dirname(roomOf('model'))), join(this.#directory, 'node_modules/@kvorum/model'))
  }

  async with(patches: readonly Patch[]): Promise<Rules> {
    const copy = join(this.#directory, `${this.#copies++}`)
    mkdirSync(copy)
    for (const file of readdirSync(this.#source).filter(name => name.endsWith('.js'))) {
      const mine = patches.filter(patch => patch.file === file)
      const text = readFileSync(join(this.#source, file), 'utf8')
      writeFileSync(join(copy, file), mine.reduce(apply, text))
    }
    return (await import(pathToFileURL(join(copy, 'index.js')).href)) as Rules
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

const roomOf = (room: string): string => fileURLToPath(import.meta.resolve(`@kvorum/${room}`))

function apply(text: string, { file, text: old, replacement }: Patch): string {
  const places = text.split(old).length - 1
  if (places !== 1) throw new Error(`the text of a patch is in ${file} ${places} times, not once: ${old}`)
  return text.replace(old, () => replacement)
}
