import { createInterface } from 'node:readline'
import type { Io } from './io.js'
import { run } from './run.js'
import { readSecret } from './terminal.js'

/** The process behind the command. */

// A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  process.exit()
})

async function readInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

function askSecret(prompt: string): Promise<string> {
  const say = (text: string): void => void process.stderr.write(text)
  say(prompt)
  return readSecret(process.stdin, say)
}

const io: Io = {
  env: process.env,
  write: output => void process.stdout.write(output),
  say: line => void process.stderr.write(`${line}\n`),
  readInput,
  readLines: () => createInterface({ input: process.stdin, crlfDelay: Infinity }),
  now: () => performance.now(),
  askSecret: process.stdin.isTTY ? askSecret : null,
  // A server has no use for the client, and would wait for it to be loaded.
  connect: async options => (await import('./connect.js')).connect(options),
}

void run(io, process.argv.slice(2)).then(status => {
  // A server that goes on running, or has said its own status, is not told another.
  if (status !== 0) process.exitCode = status
})
