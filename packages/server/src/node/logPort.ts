import type { LogPort } from '@kvorum/node'
import type { LogStore, Written } from '@kvorum/storage'

/** How long after the disk was full the reserve is asked for again. */
const RESTORE_AFTER_MS = 5_000

/** The log as a node's port. When the disk is full, the reserve is given up once, so that votes still fit. */
export function logPort(log: LogStore): LogPort {
  let restoreAt: number | null = null
  const restore = async (): Promise<void> => {
    if (restoreAt === null || Date.now() < restoreAt) return
    restoreAt = (await log.restoreReserve()) === 'written' ? null : Date.now() + RESTORE_AFTER_MS
  }
  return {
    append: async order => {
      const batch = {
        groups: order.groups,
        peers: order.peers,
        ...(order.admitted ? { admitted: true } : {}),
      }
      let written: Written = await log.append(batch)
      if (written === 'noSpace' && restoreAt === null) {
        restoreAt = Date.now() + RESTORE_AFTER_MS
        await log.releaseReserve()
        written = await log.append(batch)
      }
      return written === 'written' ? 'durable' : 'noSpace'
    },
    read: async (group, from, to, bytesMax) => {
      const read = await log.readEntries(group, from, to, bytesMax)
      return read.ok ? read.entries : { damaged: read.damage }
    },
    purge: async () => {
      await log.purge()
      await restore()
    },
    cover: async () => {
      await log.cover()
      await restore()
    },
    close: () => log.close(),
  }
}
