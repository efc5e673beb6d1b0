import type { ReadStream } from 'node:tty'

const ENTER = new Set(['\r', '\n'])
const ERASE = new Set(['\x7f', '\b'])
const ERASE_ALL = '\x15'
const INTERRUPT = '\x03'
const END = '\x04'

/** One line typed at the terminal, not echoed. Rejects when it is interrupted, or ended before anything is typed. */
export async function readSecret(input: ReadStream, say: (text: string) => void): Promise<string> {
  const wasRaw = input.isRaw
  input.setRawMode(true)
  input.resume()
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed: string[] = []
      const onData = (bytes: Buffer): void => {
        for (const character of bytes.toString('utf8')) {
          if (character === INTERRUPT || (character === END && typed.length === 0))
            return done(() => reject(new Error('no password was typed')))
          if (ENTER.has(character) || character === END) return done(() => resolve(typed.join('')))
          if (character === ERASE_ALL) typed = []
          else if (ERASE.has(character)) typed.pop()
          else typed.push(character)
        }
      }
      const onEnd = (): void => done(() => reject(new Error('no password was typed')))
      const done = (settle: () => void): void => {
        input.off('data', onData)
        input.off('end', onEnd)
        settle()
      }
      input.on('data', onData)
      input.on('end', onEnd)
    })
  } finally {
    input.setRawMode(wasRaw)
    input.pause()
    say('\n')
  }
}
