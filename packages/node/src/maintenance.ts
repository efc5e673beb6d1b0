/** What a node does for its data without being asked; nothing of it by default. */
export interface MaintenanceOptions {
  /** Most logical bytes before writes are refused; 0: no bound. The leader's counts, by way of the log. */
  readonly quotaBytes: number
  /** Takes a noSpace alarm back when there is room again, without an operator. */
  readonly autoDisarmNoSpace: boolean
}

export const NO_MAINTENANCE: MaintenanceOptions = { quotaBytes: 0, autoDisarmNoSpace: false }
