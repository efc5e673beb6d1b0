import { parentPort, workerData } from 'node:worker_threads'
import bcrypt from 'bcryptjs'

/** One verification in a thread of its own: it takes a tenth of a second of computing, and the node must not wait. */
const { password, hash } = workerData as { readonly password: string; readonly hash: string }
parentPort?.postMessage(bcrypt.compareSync(password, hash))
