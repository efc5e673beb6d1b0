import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import ts from 'typescript'
import type { SourceFile } from './sourceRules.js'

/** A package of the workspace as its files describe it. */
export interface Room {
  readonly name: string
  /** Relative to the root, with forward slashes. */
  readonly folder: string
  readonly packageName: string
  readonly dependencies: readonly string[]
  /** Keys of package.json's exports. */
  readonly doors: readonly string[]
  /** Names of the rooms that src's tsconfig refers to. */
  readonly references: readonly string[]
  readonly files: readonly SourceFile[]
  readonly testFiles: readonly SourceFile[]
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
  readonly exports?: Record<string, unknown>
  readonly workspaces?: readonly string[]
}

interface TsConfig {
  readonly references?: readonly { readonly path: string }[]
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

function readTsConfig(path: string): TsConfig {
  const { config, error } = ts.readConfigFile(path, name => readFileSync(name, 'utf8')) as {
    config?: TsConfig
    error?: ts.Diagnostic
  }
  if (config === undefined) throw new Error(`${path}: ${JSON.stringify(error?.messageText)}`)
  return config
}

const referencePaths = (folder: string, config: TsConfig): string[] =>
  (config.references ?? []).map(({ path }) => posix.join(folder, path))

/** Root's tsconfig references, relative to the root. */
export const rootReferences = (root: string): string[] =>
  referencePaths('.', readTsConfig(join(root, 'tsconfig.json')))

export function readWorkspace(root: string): Room[] {
  const { workspaces = [] } = readJson(join(root, 'package.json')) as Manifest
  return workspaces.map(folder => readRoom(root, folder))
}

function readRoom(root: string, folder: string): Room {
  const name = posix.basename(folder)
  const manifest = readJson(join(root, folder, 'package.json')) as Manifest
  const config = readTsConfig(join(root, folder, 'tsconfig.json'))
  return {
    name,
    folder,
    packageName: manifest.name,
    dependencies: Object.keys(manifest.dependencies ?? {}).sort(),
    doors: Object.keys(manifest.exports ?? {}),
    references: referencePaths(folder, config)
      .map(path => posix.basename(path))
      .sort(),
    files: readSources(name, join(root, folder, 'src')),
    testFiles: readSources(name, join(root, folder, 'test')),
  }
}

function readSources(room: string, folder: string): SourceFile[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
    .map(path => ({
      room,
      path: relative(folder, path).split(sep).join('/'),
      text: readFileSync(path, 'utf8'),
    }))
}
