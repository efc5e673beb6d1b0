import { open, type FileHandle } from 'node:fs/promises'
import { LIMITS, type KeyRange } from '@kvorum/model'
import type { RpcName } from '@kvorum/protocol'
import type { Logger } from '../logging.js'
import { requirementFor } from './requirements.js'

/** RPCs that change something, or try to; and the one that hands out everything, hashes of passwords too. */
const AUDITED: ReadonlySet<RpcName> = new Set<RpcName>([
  'etcdserverpb.KV/Put',
  'etcdserverpb.KV/DeleteRange',
  'etcdserverpb.KV/Txn',
  'etcdserverpb.KV/Compact',
  'etcdserverpb.Lease/LeaseGrant',
  'etcdserverpb.Lease/LeaseRevoke',
  'etcdserverpb.Cluster/MemberAdd',
  'etcdserverpb.Cluster/MemberRemove',
  'etcdserverpb.Cluster/MemberUpdate',
  'etcdserverpb.Cluster/MemberPromote',
  'etcdserverpb.Maintenance/Alarm',
  'etcdserverpb.Maintenance/Defragment',
  'etcdserverpb.Maintenance/MoveLeader',
  'etcdserverpb.Maintenance/Downgrade',
  'etcdserverpb.Auth/AuthEnable',
  'etcdserverpb.Auth/AuthDisable',
  'etcdserverpb.Auth/Authenticate',
  'etcdserverpb.Auth/UserAdd',
  'etcdserverpb.Auth/UserDelete',
  'etcdserverpb.Auth/UserChangePassword',
  'etcdserverpb.Auth/UserGrantRole',
  'etcdserverpb.Auth/UserRevokeRole',
  'etcdserverpb.Auth/RoleAdd',
  'etcdserverpb.Auth/RoleDelete',
  'etcdserverpb.Auth/RoleGrantPermission',
  'etcdserverpb.Auth/RoleRevokePermission',
  'v3lockpb.Lock/Lock',
  'v3lockpb.Lock/Unlock',
  'v3electionpb.Election/Campaign',
  'v3electionpb.Election/Proclaim',
  'v3electionpb.Election/Resign',
  'kvorum.v1.Sessions/Open',
  'kvorum.v1.Shard/Split',
  'kvorum.v1.Shard/Move',
  'kvorum.v1.Shard/Transfer',
  'kvorum.v1.Shard/Drain',
  'etcdserverpb.Maintenance/Snapshot',
])

export const isAudited = (name: RpcName): boolean => AUDITED.has(name)

/** What is written of one call. Names, never values. */
export interface AuditRecord {
  readonly time: string
  readonly user: string
  readonly remote: string
  readonly rpc: RpcName
  /** [first key, end] of what would be written; no end: one key; the end "\0": all that follow. */
  readonly keys: readonly (readonly string[])[]
  /** User, role, lease, shard or member that the call is about. */
  readonly about: Readonly<Record<string, string>>
  readonly code: string
  readonly revision: number
}

/** Fields of messages that name what a call is about, and hold nothing else. */
const NAMES = ['name', 'user', 'role', 'ID', 'lease', 'shard', 'at', 'from_id', 'to_id', 'node_id'] as const

export function subjectOf(name: RpcName, message: unknown): Pick<AuditRecord, 'keys' | 'about'> {
  const requirement = requirementFor(name, message)
  const keys = requirement.kind === 'keys' ? requirement.writes.map(rangeText) : []
  const fields = message as Readonly<Record<string, unknown>>
  const about = NAMES.flatMap(field => {
    const value = fields[field]
    if (typeof value === 'bigint' && value !== 0n) return [[field, value.toString(16)] as const]
    if (typeof value === 'number' && value !== 0) return [[field, String(value)] as const]
    if (value instanceof Uint8Array && value.length > 0) return [[field, keyText(value)] as const]
    return typeof value === 'string' && value !== '' ? [[field, value] as const] : []
  })
  return { keys, about: Object.fromEntries(about) }
}

function rangeText({ start, end }: KeyRange): string[] {
  if (end === null) return [keyText(start), '\\0']
  const point = end.length === start.length + 1 && end[start.length] === 0
  return point ? [keyText(start)] : [keyText(start), keyText(end)]
}

/** Printable keys as they are, others in hexadecimal. */
function keyText(key: Uint8Array): string {
  const text = Buffer.from(key).toString('latin1')
  return /^[\x20-\x7e]*$/.test(text) ? text : `0x${Buffer.from(key).toString('hex')}`
}

/** One line for each call, written behind its back. What the disk cannot keep up with is counted, and the count written. */
export class AuditLog {
  readonly #file: FileHandle
  readonly #logger: Logger
  #lines: string[] = []
  #lost = 0
  #writing: Promise<void> | null = null

  private constructor(file: FileHandle, logger: Logger) {
    this.#file = file
    this.#logger = logger
  }

  static async open(path: string, logger: Logger): Promise<AuditLog> {
    return new AuditLog(await open(path, 'a', 0o600), logger)
  }

  write(record: AuditRecord): void {
    if (this.#lines.length >= LIMITS.auditQueueMax) this.#lost++
    else this.#lines.push(JSON.stringify(record))
    this.#writing ??= this.#drain().finally(() => (this.#writing = null))
  }

  async #drain(): Promise<void> {
    while (this.#lines.length > 0) {
      const lines = this.#lines
      this.#lines = []
      if (this.#lost > 0) lines.push(JSON.stringify({ time: new Date().toISOString(), lost: this.#lost }))
      this.#lost = 0
      try {
        await this.#file.appendFile(`${lines.join('\n')}\n`)
      } catch (error) {
        this.#lost += lines.length
        this.#logger.error({ error: String(error) }, 'the audit log cannot be written')
        return
      }
    }
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }
}
