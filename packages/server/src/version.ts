/**
 * What this server says it is. Clients of etcd parse the first two as three plain numbers, so kvorum's own
 * version travels in fields of its own.
 */
export const ETCD_API_VERSION = '3.5.21'
export const ETCD_CLUSTER_VERSION = '3.5.0'
export const KVORUM_VERSION = '0.1.0'
