import { spawnSync } from 'node:child_process'
import { delimiter } from 'node:path'

/**
 * Where etcd, etcdctl and etcdutl are looked for: first in the directory that KVORUM_TEST_ETCD names, so that
 * another version than the installed one can be asked.
 */
const searched = [process.env['KVORUM_TEST_ETCD'], process.env['PATH']].filter(part => part !== undefined)

/** For a child process: what it needs to be found, and nothing that would change what it does. */
export const ETCD_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: searched.join(delimiter),
  ETCDCTL_API: '3',
}

/** What the program says of itself; null: there is none. */
function versionSaid(program: string, argument: string): string | null {
  const ran = spawnSync(program, [argument], { encoding: 'utf8', env: ETCD_ENVIRONMENT })
  return /version: (\S+)/i.exec(ran.stdout ?? '')?.[1] ?? null
}

/** The version of the etcd that tests are run against; null: there is none. */
export const etcdVersion = (): string | null => versionSaid('etcd', '--version')

/** The version of etcdctl; null: there is none. */
export const etcdctlVersion = (): string | null => versionSaid('etcdctl', 'version')

/** From 3.5 on files are the business of a program of its own. */
export const hasEtcdutl = (): boolean => versionSaid('etcdutl', 'version') !== null
