import type { Init, pb } from '@kvorum/protocol'
import { parseArguments } from '../arguments.js'
import { DEL_FLAGS, delRequest } from '../commands/del.js'
import { GET_FLAGS, getRequest } from '../commands/get.js'
import { PUT_FLAGS, putRequest } from '../commands/put.js'
import { accepted, rejected, type Parsed } from '../parsed.js'
import { parseCompare } from './compare.js'
import { splitWords } from './words.js'

/** One operation of a transaction: `put`, `get` or `del` with the flags of the command of that name. */
export function parseOperation(line: string): Parsed<Init<pb.RequestOp>> {
  const words = splitWords(line)
  if (!words.ok) return words
  const [name, ...argv] = words.value
  switch (name) {
    case 'get':
      return parseGet(argv)
    case 'put':
      return parsePut(argv)
    case 'del':
      return parseDel(argv)
    default:
      return rejected(`a transaction can get, put and del; not ${line.trim()}`)
  }
}

const wrongCount = (name: string): { ok: false; reason: string } =>
  rejected(`${name} has too few or too many arguments`)

function parseGet(argv: readonly string[]): Parsed<Init<pb.RequestOp>> {
  const args = parseArguments(GET_FLAGS, argv)
  if (!args.ok) return args
  if (args.value.rest.length < 1 || args.value.rest.length > 2) return wrongCount('get')
  const request = getRequest(args.value)
  return request.ok ? accepted({ request_range: request.value }) : request
}

function parsePut(argv: readonly string[]): Parsed<Init<pb.RequestOp>> {
  const args = parseArguments(PUT_FLAGS, argv)
  if (!args.ok) return args
  if (args.value.rest.length < 1 || args.value.rest.length > 2) return wrongCount('put')
  const put = putRequest(args.value)
  if (!put.ok) return put
  const { request, value } = put.value
  return value === null ? wrongCount('put') : accepted({ request_put: { ...request, value } })
}

function parseDel(argv: readonly string[]): Parsed<Init<pb.RequestOp>> {
  const args = parseArguments(DEL_FLAGS, argv)
  if (!args.ok) return args
  if (args.value.rest.length < 1 || args.value.rest.length > 2) return wrongCount('del')
  const request = delRequest(args.value)
  return request.ok ? accepted({ request_delete_range: request.value }) : request
}

/** The three parts of a transaction, in the order they are written. */
export const PARTS = [
  'compares:',
  'success requests (get, put, del):',
  'failure requests (get, put, del):',
] as const

/**
 * Reads a transaction: comparisons, what to do if they hold, what to do otherwise; an empty line ends each
 * part, the end of the input ends all. `begin` is told the title of each part before it is read.
 */
export async function readScript(
  lines: AsyncIterable<string>,
  begin: (title: string) => void,
): Promise<Parsed<Init<pb.TxnRequest>>> {
  const compare: Init<pb.Compare>[] = []
  const branches: Init<pb.RequestOp>[][] = [[], []]
  let part = 0
  begin(PARTS[0])
  for await (const line of lines) {
    if (line.trim() === '') {
      part++
      if (part === PARTS.length) break
      begin(PARTS[part]!)
    } else if (part === 0) {
      const parsed = parseCompare(line)
      if (!parsed.ok) return parsed
      compare.push(parsed.value)
    } else {
      const parsed = parseOperation(line)
      if (!parsed.ok) return parsed
      branches[part - 1]!.push(parsed.value)
    }
  }
  return accepted({ compare, success: branches[0]!, failure: branches[1]! })
}
