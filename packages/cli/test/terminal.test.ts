import { PassThrough } from 'node:stream'
import type { ReadStream } from 'node:tty'
import t from 'tap'
import { readSecret } from '#src/terminal.js'

/** A terminal as far as it is used here, and whether it shows what is typed. */
function terminal() {
  const modes: boolean[] = []
  const input = Object.assign(new PassThrough(), {
    isRaw: false,
    setRawMode: (raw: boolean) => void modes.push(raw),
  })
  return {
    input: input as unknown as ReadStream,
    type: (text: string) => input.write(text),
    end: () => input.end(),
    modes,
  }
}

async function typed(...pieces: readonly string[]) {
  const { input, type, modes } = terminal()
  let said = ''
  const secret = readSecret(input, text => (said += text))
  for (const piece of pieces) type(piece)
  const value = await secret.catch((error: Error) => error.message)
  return { value, modes, said }
}

t.test('a line, however it arrives, and never shown', async t => {
  t.strictSame(await typed('sec', 'ret\r'), { value: 'secret', modes: [true, false], said: '\n' })
  const values: readonly (readonly [string, string])[] = [
    ['päss\n', 'päss'],
    ['abc\x7f\x7fd\r', 'ad'],
    ['abc\x15x\b\by\r', 'y'],
    ['\r', ''],
    ['ab\x04', 'ab'],
    ['\x04', 'no password was typed'],
    ['ab\x03', 'no password was typed'],
  ]
  for (const [keys, value] of values) t.equal((await typed(keys)).value, value, JSON.stringify(keys))
})

t.test('two lines one after the other; the end of the input', async t => {
  const { input, type, end, modes } = terminal()
  const say = (): void => undefined
  const first = readSecret(input, say)
  type('one\r')
  t.equal(await first, 'one')
  const second = readSecret(input, say)
  type('two\r')
  t.equal(await second, 'two')
  const third = readSecret(input, say)
  end()
  await t.rejects(third, { message: 'no password was typed' })
  t.strictSame(modes, [true, false, true, false, true, false])
})
