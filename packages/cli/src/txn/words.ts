import { unescape } from '../format/quote.js'
import { accepted, rejected, type Parsed } from '../parsed.js'

const PIECE = /^(?:"((?:[^"\\]|\\[\s\S])*)"|'([^']*)'|((?:[^\s"'])+))/

/**
 * A line of a transaction as arguments: words between blanks; in double quotes with escapes, in single quotes
 * as they are. Keys and values are UTF-8 text here; other bytes need the API.
 */
export function splitWords(line: string): Parsed<string[]> {
  const words: string[] = []
  for (let rest = line.trimStart(); rest !== ''; rest = rest.trimStart()) {
    let word = ''
    while (rest !== '' && !/^\s/.test(rest)) {
      const match = PIECE.exec(rest)
      const piece = match === null ? null : pieceText(match)
      if (match === null || piece === null) return rejected(`a quote or an escape is wrong in: ${line}`)
      word += piece
      rest = rest.slice(match[0].length)
    }
    words.push(word)
  }
  return accepted(words)
}

function pieceText([, quoted, literal, bare]: RegExpExecArray): string | null {
  if (quoted === undefined) return literal ?? bare ?? ''
  const bytes = unescape(quoted)
  return bytes === null ? null : Buffer.from(bytes).toString('utf8')
}
