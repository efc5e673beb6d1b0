import { Worker } from 'node:worker_threads'

/** A cost of 16 takes some ten seconds; what costs more is never verified. */
const COST_MAX = 16
const FORM = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/

/** The text of a hash that etcd made and a snapshot brought; null where these bytes are none. */
export function bcryptText(stored: Uint8Array): string | null {
  const text = Buffer.from(stored).toString('latin1')
  const cost = FORM.exec(text)?.[1]
  return cost !== undefined && Number(cost) >= 4 && Number(cost) <= COST_MAX ? text : null
}

/** Rejects when the thread cannot be made. Callers bound how many run at a time. */
export function verifyBcrypt(password: string, hash: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./bcryptWorker.js', import.meta.url), {
      workerData: { password, hash },
      // What was given to load into this process is not for a thread that only computes.
      execArgv: [],
      env: {},
    })
    worker.once('message', (right: boolean) => resolve(right))
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('a password was not verified')))
  })
}
