/**
 * Which of a peer's forwarded requests have been taken. Connections deliver in order and once, but a request must
 * not be carried out twice whatever the network does: ids grow over all starts of the peer, so one that was seen,
 * or lies below a window of the newest, is not new.
 */
export interface TakenRequests {
  newest: number
  readonly window: Set<number>
}

const WINDOW = 4_096

export const createTakenRequests = (): TakenRequests => ({ newest: 0, window: new Set() })

/** Whether the request is new; remembers it. */
export function takeRequest(taken: TakenRequests, id: number): boolean {
  if (id <= taken.newest - WINDOW || taken.window.has(id)) return false
  taken.window.add(id)
  taken.newest = Math.max(taken.newest, id)
  if (taken.window.size > 2 * WINDOW) {
    for (const old of taken.window) if (old <= taken.newest - WINDOW) taken.window.delete(old)
  }
  return true
}
