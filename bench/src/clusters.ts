import { Cluster, type ClusterOptions } from './cluster.js'

/** The clusters that this process has running, so that no way out of it leaves servers or data behind. */
export class Clusters {
  readonly #open = new Set<Cluster>()

  constructor() {
    process.once('exit', () => {
      for (const cluster of this.#open) cluster.destroy()
    })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => process.exit(130))
  }

  /** Ports and directories, no process yet. */
  async create(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.create(options)
    this.#open.add(cluster)
    return cluster
  }

  async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await this.create(options)
    await cluster.start()
    return cluster
  }

  async close(cluster: Cluster): Promise<void> {
    await cluster.close()
    this.#open.delete(cluster)
  }

  async closeAll(): Promise<void> {
    for (const cluster of this.#open) await this.close(cluster)
  }
}
