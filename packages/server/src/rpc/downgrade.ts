import { refuse } from '@kvorum/model'
import { pb } from '@kvorum/protocol'
import type { Unary } from './handler.js'

const VERSION = /^v?\d{1,9}\.\d{1,9}(\.\d{1,9})?$/

/**
 * There is no earlier version of kvorum whose data format a cluster could go back to, so every target is
 * refused, in etcd's words and in the order of its checks.
 */
export const downgrade: Unary<'etcdserverpb.Maintenance/Downgrade'> = (edge, request) => {
  switch (request.action) {
    case pb.DowngradeRequestDowngradeAction.VALIDATE:
    case pb.DowngradeRequestDowngradeAction.ENABLE:
      if (!VERSION.test(request.version)) return Promise.resolve(refuse('downgradeVersionFormat'))
      if (edge.node.status().clusterVersion === '') return Promise.resolve(refuse('clusterVersionMissing'))
      return Promise.resolve(refuse('downgradeTarget'))
    case pb.DowngradeRequestDowngradeAction.CANCEL:
      return Promise.resolve(refuse('downgradeNone'))
    default:
      return Promise.resolve(refuse('malformed', { detail: 'no such action' }))
  }
}
