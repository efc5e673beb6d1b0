import type { Step } from './steps.js'
import { isSymbolic, type Template } from './symbols.js'
import type { Answer } from './target.js'

/** What we answer otherwise on purpose. The stores differ from there on, so the sequence ends. */
export interface Deviation {
  /** As docs/compatibility.md calls it. */
  readonly id: string
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
]

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
