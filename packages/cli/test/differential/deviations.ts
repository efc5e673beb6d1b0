import { compareBytes } from '@kvorum/model'
import { MALFORMED } from './malformed.js'
import type { Step } from './steps.js'
import { isSymbolic, type Template } from './symbols.js'
import type { Answer } from './target.js'

/** What we answer otherwise on purpose. The sequence ends there, unless both refused. */
export interface Deviation {
  /** As docs/compatibility.md calls it. */
  readonly id: string
  /** Only 3.4 does it, later versions do as we do. */
  readonly isOld?: true
  /** The same steps do not always lead to it. */
  readonly isChance?: true
  readonly applies: (step: Step, etcd: Answer, kvorum: Answer) => boolean
}

const DUPLICATE_KEY = 'etcdserver: duplicate key given in txn request'
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted'

export const DEVIATIONS: readonly Deviation[] = [
  {
    id: 'txn-put-and-delete',
    // etcd overlooks deletes without an end, and those in a later transaction beside the one that puts.
    applies: (step, etcd, kvorum) =>
      isTxn(step) &&
      !(etcd.kind === 'refused' && etcd.text === DUPLICATE_KEY) &&
      kvorum.kind === 'refused' &&
      kvorum.text === DUPLICATE_KEY &&
      hasMessage(step.request, 'request_delete_range', () => true),
  },
  {
    id: 'txn-negative-revision',
    applies: (step, etcd) =>
      isTxn(step) &&
      etcd.kind === 'refused' &&
      etcd.text === COMPACTED &&
      hasMessage(step.request, 'request_range', range => range['revision'] === -1),
  },
  {
    id: 'auth-before-checks',
    applies: (_, etcd, kvorum) =>
      etcd.kind === 'refused' &&
      (etcd.code === INVALID_ARGUMENT || etcd.code === NOT_FOUND) &&
      kvorum.kind === 'refused' &&
      etcd.text !== kvorum.text &&
      DENIED.has(kvorum.text),
  },
  {
    id: 'auth-backoff',
    applies: (step, _, kvorum) =>
      step.kind === 'call' &&
      step.rpc === 'etcdserverpb.Auth/Authenticate' &&
      kvorum.kind === 'refused' &&
      kvorum.text === BACKED_OFF,
  },
  {
    id: 'auth-no-password',
    applies: (_, etcd, kvorum) =>
      etcd.kind === 'refused' &&
      etcd.text === 'auth: authentication failed, password was given for no password user' &&
      kvorum.kind === 'refused' &&
      kvorum.text === 'etcdserver: authentication failed, invalid user ID or password',
  },
  {
    id: 'hash-at-compacted',
    applies: (step, etcd, kvorum) =>
      step.kind === 'call' &&
      step.rpc === 'etcdserverpb.Maintenance/HashKV' &&
      (isCompacted(etcd)
        ? kvorum.kind === 'ok'
        : etcd.kind === 'ok' &&
          (isCompacted(kvorum) || (kvorum.kind === 'ok' && compactedOf(etcd) < compactedOf(kvorum)))),
  },
  {
    id: 'auth-empty-txn',
    applies: (step, etcd, kvorum) =>
      isTxn(step) &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'refused' &&
      kvorum.text === 'etcdserver: user name is empty' &&
      Object.values(step.request).every(field => (field as readonly Template[]).length === 0),
  },
  {
    id: 'auth-role-root',
    applies: (step, etcd, kvorum) =>
      step.kind === 'call' &&
      step.rpc === 'etcdserverpb.Auth/RoleGet' &&
      step.request['role'] === 'root' &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'ok',
  },
  {
    id: 'auth-empty-range',
    applies: (step, etcd, kvorum) =>
      etcd.kind === 'refused' &&
      etcd.text === 'etcdserver: permission denied' &&
      !(kvorum.kind === 'refused' && kvorum.text === etcd.text) &&
      'request' in step &&
      hasEmptyRange(step.request),
  },
  {
    id: 'member-id-taken',
    isChance: true,
    applies: (step, etcd) =>
      step.kind === 'call' &&
      step.rpc === 'etcdserverpb.Cluster/MemberAdd' &&
      etcd.kind === 'refused' &&
      (etcd.text === 'etcdserver: member ID already exist' || etcd.text === 'etcdserver: member not found'),
  },
  {
    id: 'gateway-trailing',
    applies: (step, etcd, kvorum) =>
      step.kind === 'call' &&
      step.flaw?.kind === 'trailing' &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'refused' &&
      MALFORMED.test(kvorum.text),
  },
  {
    id: 'auth-empty-key',
    isOld: true,
    applies: (step, etcd, kvorum) =>
      step.kind === 'call' &&
      step.rpc === 'etcdserverpb.Auth/RoleGrantPermission' &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'refused' &&
      kvorum.text === 'etcdserver: invalid auth management' &&
      lacksKey(step.request['perm']),
  },
  {
    id: 'auth-nested-txn',
    applies: (step, etcd, kvorum) =>
      isTxn(step) &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'refused' &&
      kvorum.text === 'etcdserver: permission denied' &&
      hasMessage(step.request, 'request_txn', () => true),
  },
  {
    id: 'auth-txn-prev',
    applies: (step, etcd, kvorum) =>
      isTxn(step) &&
      etcd.kind === 'ok' &&
      kvorum.kind === 'refused' &&
      kvorum.text === 'etcdserver: permission denied' &&
      hasMessage(step.request, 'request_put', put => put['prev_kv'] === true || put['lease'] !== undefined),
  },
]

const isCompacted = (answer: Answer): boolean => answer.kind === 'refused' && answer.text === COMPACTED
const compactedOf = (answer: Extract<Answer, { kind: 'ok' }>): number =>
  Number(answer.message['compact_revision'] ?? 0)

export const BACKED_OFF = 'etcdserver: too many requests'
const INVALID_ARGUMENT = 3
const NOT_FOUND = 5
const DENIED: ReadonlySet<string> = new Set([
  'etcdserver: user name is empty',
  'etcdserver: permission denied',
  'etcdserver: invalid auth token',
])

const lacksKey = (perm: Template | undefined): boolean => {
  const key = typeof perm === 'object' && 'key' in perm ? perm.key : undefined
  return key === undefined || (key instanceof Uint8Array && key.length === 0)
}

/** Whether somewhere in it a range ends before it begins. */
const hasEmptyRange = (template: Template): boolean =>
  isEmpty(template) ||
  (typeof template === 'object' &&
    !(template instanceof Uint8Array) &&
    Object.values(template).some((inner: Template) => hasEmptyRange(inner)))

function isEmpty(template: Template): boolean {
  if (typeof template !== 'object' || template instanceof Uint8Array || Array.isArray(template)) return false
  const { key, range_end: end } = template as Readonly<Record<string, Template>>
  if (!(key instanceof Uint8Array) || !(end instanceof Uint8Array) || end.length === 0) return false
  return !(end.length === 1 && end[0] === 0) && compareBytes(end, key) <= 0
}

const isTxn = (step: Step): step is Extract<Step, { kind: 'call' }> =>
  step.kind === 'call' && step.rpc === 'etcdserverpb.KV/Txn'

type Fields = Readonly<Record<string, Template>>

/** Whether a message in a field of this name is like that, at any depth. */
function hasMessage(template: Template, field: string, isWanted: (message: Fields) => boolean): boolean {
  if (typeof template !== 'object' || template instanceof Uint8Array) return false
  if (Array.isArray(template)) return template.some((item: Template) => hasMessage(item, field, isWanted))
  if (isSymbolic(template)) return false
  return Object.entries(template as Fields).some(
    ([name, value]) => (name === field && isWanted(value as Fields)) || hasMessage(value, field, isWanted),
  )
}
