import { compareEnds, isEmptyRange, type KeyRange, type Op, toKeyString, type TxnOp } from '@kvorum/model'

/** What the operations of one branch may write, each with the operation of that branch it belongs to. */
interface Writes {
  readonly puts: { readonly key: string; readonly owner: number }[]
  readonly deletes: { readonly range: KeyRange; readonly owner: number }[]
}

/**
 * A transaction changes a key at most once: in one branch no key may be put by two operations, and no put of
 * one operation may fall in a deleted range of another, nested transactions included. The two branches of one
 * nested transaction exclude each other and may write the same keys; deletes may overlap.
 *
 * etcd lets one case through, by its order of checks: a put in a nested transaction and a later sibling that
 * deletes it. Here that is refused as well, because a key has one change per revision.
 */
export const hasDuplicateKey = (op: TxnOp): boolean =>
  branchWrites(op.success) === null || branchWrites(op.failure) === null

/** All that the branch may write; null: a key may be changed twice. */
function branchWrites(ops: readonly Op[]): Writes | null {
  const all: Writes = { puts: [], deletes: [] }
  for (const [owner, op] of ops.entries()) {
    if (op.kind === 'put') all.puts.push({ key: toKeyString(op.key), owner })
    if (op.kind === 'delete' && !isEmptyRange(op.range)) all.deletes.push({ range: op.range, owner })
    if (op.kind !== 'txn') continue
    for (const branch of [op.success, op.failure]) {
      const nested = branchWrites(branch)
      if (nested === null) return null
      for (const put of nested.puts) all.puts.push({ key: put.key, owner })
      for (const { range } of nested.deletes) all.deletes.push({ range, owner })
    }
  }
  return putTwice(all) || putAndDeleted(all) ? null : all
}

function putTwice({ puts }: Writes): boolean {
  const owners = new Map<string, number>()
  for (const { key, owner } of puts) {
    const first = owners.get(key)
    if (first !== undefined && first !== owner) return true
    owners.set(key, owner)
  }
  return false
}

function putAndDeleted({ puts, deletes }: Writes): boolean {
  if (puts.length === 0 || deletes.length === 0) return false
  const sorted = [...puts].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  // Deleted ranges by their start; `open` are those whose end may still lie ahead of the put looked at.
  const starts = deletes
    .map(({ range, owner }) => ({ start: toKeyString(range.start), range, owner }))
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))
  const open = new Map<number, Uint8Array | null>()
  let next = 0
  for (const { key, owner } of sorted) {
    for (; next < starts.length && starts[next]!.start <= key; next++) {
      const { owner: deleter, range } = starts[next]!
      const end = open.get(deleter)
      if (end === undefined || compareEnds(range.end, end) > 0) open.set(deleter, range.end)
    }
    for (const [deleter, end] of open) {
      if (end !== null && toKeyString(end) <= key) open.delete(deleter)
      else if (deleter !== owner) return true
    }
  }
  return false
}
