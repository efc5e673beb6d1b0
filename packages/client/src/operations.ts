import { EMPTY } from '@kvorum/model'
import { pb, type Init } from '@kvorum/protocol'
import { Entry, entryOf } from './entry.js'
import { bytesOf, requestKeys, type Bytes, type Keys } from './keys.js'

export interface PutOptions {
  /** The key goes when the lease does. Without one, the key is detached from a lease it had. */
  readonly lease?: bigint | { readonly id: bigint }
  /** Answer with the entry as it was. */
  readonly prevKv?: boolean
  /** Change only the lease of an existing key; give an empty value. */
  readonly keepValue?: boolean
  /** Change only the value of an existing key. */
  readonly keepLease?: boolean
}

export interface DeleteOptions {
  /** Answer with the entries as they were. */
  readonly prevKv?: boolean
}

export interface ReadOptions {
  /** As of this revision; the latest where none is given. */
  readonly revision?: number
  /** From the asked server's own copy, possibly stale. The default is linearizable. */
  readonly serializable?: boolean
}

export interface RangeOptions extends ReadOptions {
  /** At most this many entries. */
  readonly limit?: number
  readonly order?: 'ascending' | 'descending'
  /** The order's subject; the key where none is given. */
  readonly sortBy?: 'key' | 'version' | 'create' | 'mod' | 'value'
  readonly keysOnly?: boolean
  readonly countOnly?: boolean
  /** Bounds of revisions, inclusive. They do not change `count`. */
  readonly minModRevision?: number
  readonly maxModRevision?: number
  readonly minCreateRevision?: number
  readonly maxCreateRevision?: number
}

export interface PutResult {
  readonly kind: 'put'
  readonly revision: number
  /** Null unless asked for, and where there was none. */
  readonly previous: Entry | null
}

export interface DeleteResult {
  readonly kind: 'delete'
  readonly revision: number
  readonly deleted: number
  /** Empty unless asked for. */
  readonly previous: readonly Entry[]
}

export interface RangeResult {
  readonly kind: 'range'
  /** Of the store when it was read, not the one asked for. */
  readonly revision: number
  readonly entries: readonly Entry[]
  /** The limit cut the answer short. */
  readonly more: boolean
  /** All keys of the range, whatever the limit. */
  readonly count: number
}

export function putRequest(key: Bytes, value: Bytes, options: PutOptions = {}): Init<pb.PutRequest> {
  const { lease } = options
  return {
    key: requestKeys({ key }).key,
    value: options.keepValue === true ? EMPTY : bytesOf(value),
    lease: typeof lease === 'object' ? lease.id : (lease ?? 0n),
    prev_kv: options.prevKv ?? false,
    ignore_value: options.keepValue ?? false,
    ignore_lease: options.keepLease ?? false,
  }
}

export const deleteRequest = (keys: Keys, options: DeleteOptions = {}): Init<pb.DeleteRangeRequest> => ({
  ...requestKeys(keys),
  prev_kv: options.prevKv ?? false,
})

export function rangeRequest(keys: Keys, options: RangeOptions = {}): Init<pb.RangeRequest> {
  const { order, sortBy } = options
  return {
    ...requestKeys(keys),
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    sort_order:
      order === undefined && sortBy === undefined ? SORT_ORDER.none : SORT_ORDER[order ?? 'ascending'],
    sort_target: SORT_TARGET[sortBy ?? 'key'],
    serializable: options.serializable ?? false,
    keys_only: options.keysOnly ?? false,
    count_only: options.countOnly ?? false,
    min_mod_revision: options.minModRevision ?? 0,
    max_mod_revision: options.maxModRevision ?? 0,
    min_create_revision: options.minCreateRevision ?? 0,
    max_create_revision: options.maxCreateRevision ?? 0,
  }
}

const SORT_ORDER = {
  none: pb.RangeRequestSortOrder.NONE,
  ascending: pb.RangeRequestSortOrder.ASCEND,
  descending: pb.RangeRequestSortOrder.DESCEND,
} as const
const SORT_TARGET = {
  key: pb.RangeRequestSortTarget.KEY,
  version: pb.RangeRequestSortTarget.VERSION,
  create: pb.RangeRequestSortTarget.CREATE,
  mod: pb.RangeRequestSortTarget.MOD,
  value: pb.RangeRequestSortTarget.VALUE,
} as const

export const revisionOf = (message: { readonly header: pb.ResponseHeader | null }): number =>
  message.header?.revision ?? 0

export const putResult = (message: pb.PutResponse): PutResult => ({
  kind: 'put',
  revision: revisionOf(message),
  previous: entryOf(message.prev_kv),
})

export const deleteResult = (message: pb.DeleteRangeResponse): DeleteResult => ({
  kind: 'delete',
  revision: revisionOf(message),
  deleted: message.deleted,
  previous: message.prev_kvs.map(kv => new Entry(kv)),
})

export const rangeResult = (message: pb.RangeResponse): RangeResult => ({
  kind: 'range',
  revision: revisionOf(message),
  entries: message.kvs.map(kv => new Entry(kv)),
  more: message.more,
  count: message.count,
})
