import type {
  ListHistory,
  ListOp,
  Operation,
  RegisterOp,
  RegisterResult,
  SetOp,
  SetResult,
} from '@kvorum/sim'

/**
 * Histories as text, one operation per line: `client call-return operation`. A return of `?` is an unknown
 * outcome; a `!` after the return says that the operation definitely failed.
 */
interface Line {
  readonly client: number
  readonly call: number
  readonly return: number
  readonly outcome: 'ok' | 'fail' | 'unknown'
  readonly words: string[]
}

function parse(text: string): Line[] {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .map(line => {
      const [client, interval, ...words] = line.split(/\s+/)
      const [call, end] = interval!.split('-')
      const failed = end!.endsWith('!')
      const unknown = end === '?'
      return {
        client: Number(client),
        call: Number(call),
        return: unknown ? Infinity : Number(failed ? end!.slice(0, -1) : end),
        outcome: unknown ? 'unknown' : failed ? 'fail' : 'ok',
        words,
      }
    })
}

function build<Op, Result>(text: string, read: (words: string[]) => [Op, Result]): Operation<Op, Result>[] {
  return parse(text).map(({ words, ...line }, id) => {
    const [op, result] = read(words)
    return { ...line, id, op, result: line.outcome === 'ok' ? result : null }
  })
}

const numberOrNull = (word: string): number | null => (word === 'nil' ? null : Number(word))

/** `write x 1`, `read x 1`, `cas x 1 2 true`. */
export const registers = (text: string): Operation<RegisterOp, RegisterResult>[] =>
  build<RegisterOp, RegisterResult>(text, ([kind, key, a, b, c]) => {
    if (kind === 'write') return [{ kind, key: key!, value: Number(a) }, { kind }]
    if (kind === 'read')
      return [
        { kind, key: key! },
        { kind, value: numberOrNull(a ?? 'nil') },
      ]
    return [
      { kind: 'cas', key: key!, from: numberOrNull(a!), to: Number(b) },
      { kind: 'cas', swapped: c === 'true' },
    ]
  })

/** `add s 1`, `remove s 1`, `read s 1,2`. */
export const sets = (text: string): Operation<SetOp, SetResult>[] =>
  build<SetOp, SetResult>(text, ([kind, key, value]) => {
    if (kind === 'read') {
      const elements = value === undefined || value === '-' ? [] : value.split(',').map(Number)
      return [{ kind, key: key! }, { elements }]
    }
    return [{ kind: kind as 'add' | 'remove', key: key!, element: Number(value) }, { elements: null }]
  })

/** `x+1 y=1,2 z=-`: append 1 to x, read 1 2 from y, read nothing from z. */
export const lists = (text: string): ListHistory =>
  build(text, words => {
    const result: (number[] | null)[] = []
    const ops = words.map((word): ListOp => {
      const key = word[0]!
      if (word[1] === '+') {
        result.push(null)
        return { kind: 'append', key, value: Number(word.slice(2)) }
      }
      const list = word.slice(2)
      result.push(list === '-' || list === '' ? [] : list.split(',').map(Number))
      return { kind: 'read', key }
    })
    return [ops, result]
  })
