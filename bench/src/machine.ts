import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { ETCD_PATH, type System } from './cluster.js'

/** One line that says on what the figures were taken. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = (totalmem() / 1024 ** 3).toFixed(0)
  return (
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${model}), ${memory} GiB, ` +
    `Linux ${release()}, Node ${process.versions.node}`
  )
}

export function versionOf(system: System): string {
  if (system === 'etcd') {
    const text = execFileSync(ETCD_PATH, ['--version'], { encoding: 'utf8' })
    return `etcd ${/etcd Version: (\S+)/.exec(text)?.[1] ?? 'unknown'}`
  }
  const path = fileURLToPath(new URL('../../packages/cli/package.json', import.meta.url))
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  return `kvorum ${version}`
}
