import { createServer } from 'node:net'
import { HOST, type NodePlan } from './plan.js'

/** The sentence that says which port cannot be listened on and why, or null when all can. */
export async function findPortProblem(plans: readonly NodePlan[]): Promise<string | null> {
  for (const port of plans.flatMap(plan => [plan.clientPort, plan.peerPort])) {
    const code = await tryListening(port)
    if (code === 'EADDRINUSE')
      return `port ${port} of ${HOST} is already in use; stop what uses it or move the cluster with --port-base`
    if (code !== null) return `port ${port} of ${HOST} cannot be listened on (${code})`
  }
  return null
}

function tryListening(port: number): Promise<string | null> {
  return new Promise(resolve => {
    const server = createServer()
    server.on('error', error => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    server.listen({ port, host: HOST }, () => server.close(() => resolve(null)))
  })
}
