import { equal } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { parseArguments } from '#src/arguments.js'
import { count, duration, formatLeaseId, parseLeaseId, text, toggle } from '#src/flag.js'
import { explicit, toJsonText } from '#src/format/json.js'
import { hexEscape, quote, unescape } from '#src/format/quote.js'
import { formatBytes } from '#src/format/bytes.js'
import { parseCompare } from '#src/txn/compare.js'
import { parseOperation } from '#src/txn/script.js'
import { splitWords } from '#src/txn/words.js'

const TABLE = {
  on: toggle(''),
  name: text('', '', 'default'),
  size: count('', ''),
  'write-out': text('', ''),
}

t.test('flags in every form and anywhere', async t => {
  const rows: readonly (readonly [string[], object])[] = [
    [[], { flags: { on: false, name: 'default', size: 0 }, rest: [] }],
    [['a', '--on', 'b'], { flags: { on: true }, rest: ['a', 'b'] }],
    [['-on', '-name', 'x', '--size=7'], { flags: { on: true, name: 'x', size: 7 } }],
    [['--on=false', '--name=a=b'], { flags: { on: false, name: 'a=b' } }],
    [['--name', '--on'], { flags: { on: false, name: '--on' } }],
    [['--name='], { flags: { name: '' } }],
    [['--name=a\nb'], { flags: { name: 'a\nb' } }],
    [['--size', '1', '--size', '2'], { flags: { size: 2 } }],
    [['-w', 'json'], { flags: { 'write-out': 'json' } }],
    [['-', '--', '--on', '-x'], { flags: { on: false }, rest: ['-', '--on', '-x'] }],
    [['-h'], { help: true }],
  ]
  for (const [argv, expected] of rows)
    t.match(parseArguments(TABLE, argv), { ok: true, value: expected }, JSON.stringify(argv))
  const given = parseArguments(TABLE, ['--size', '0'])
  t.strictSame(given.ok && [...given.value.given], ['size'], 'a default that was written is known as written')
  t.match(parseArguments(TABLE, ['--toString']), { ok: false, reason: /there is no flag --toString/ })
})

t.test('durations, counts and lease ids', async t => {
  const { parse } = duration('', 0)
  for (const [written, ms] of [
    ['5s', 5000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
  ] as const)
    t.strictSame(parse(written), { ok: true, value: ms })
  for (const bad of ['', '5', 's', '5 s', '-5s', '1x']) t.equal(parse(bad).ok, false, bad)
  for (const bad of ['', '-1', '1.5', '1e3', '9007199254740993'])
    t.equal(count('', '').parse(bad).ok, false, bad)
  t.strictSame(parseLeaseId('ffffffffffffffff'), { ok: true, value: -1n })
  t.equal(formatLeaseId(-1n), 'ffffffffffffffff')
  t.equal(parseLeaseId('10000000000000000').ok, false, 'more than 64 bits')
})

t.test('any bytes can be quoted and read back', async t => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.string({ unit: 'binary' }).map(s => Buffer.from(s)),
      ),
      bytes => {
        const quoted = quote(bytes)
        equal(Buffer.from(unescape(quoted.slice(1, -1))!).toString('hex'), Buffer.from(bytes).toString('hex'))
        equal(/^[^\n\r\0]*$/.test(quoted), true)
      },
    ),
    { numRuns: 1000 },
  )
  t.equal(quote(Buffer.from('00ff01', 'hex')), '"\\x00\\xff\\x01"')
  t.equal(quote(Buffer.from('é€😀 \n\t"\\')), '"é€😀 \\n\\t\\"\\\\"')
  t.equal(quote(Buffer.from('\u2028\ufffd')), '"\\u2028\ufffd"')
  t.equal(quote(Buffer.from('c0afeda080f5', 'hex')), '"\\xc0\\xaf\\xed\\xa0\\x80\\xf5"', 'no UTF-8')
  t.equal(hexEscape(Buffer.from('a4')), '\\x61\\x34')
  t.equal(Buffer.from(unescape('\\101\\u00e9\\U0001F600\\a')!).toString(), 'Aé😀\x07')
  for (const bad of ['\\', '\\q', '\\x1', '\\u12', '\\Uffffffff', '\\400']) t.equal(unescape(bad), null, bad)
})

t.test('JSON keeps every digit and leaves defaults out', async t => {
  const message = {
    a: 2n ** 64n - 1n,
    b: 0n,
    c: '',
    d: new Uint8Array(0),
    e: Buffer.from('x'),
    f: [],
    g: { h: 0 },
  }
  t.equal(toJsonText(message), '{"a":18446744073709551615,"e":"eA==","g":{}}')
  t.equal(explicit({ a: 0, b: '', c: { d: false } }), '{"a":0,"b":"","c":{}}')
})

t.test('sizes', async t => {
  const rows = [
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 kB'],
    [20_480, '20 kB'],
    [999_900, '1.0 MB'],
    [2 ** 31, '2.1 GB'],
  ] as const
  for (const [bytes, shown] of rows) t.equal(formatBytes(bytes), shown)
})

t.test('comparisons', async t => {
  const key = Buffer.from('k')
  const rows: readonly (readonly [string, object])[] = [
    ['mod("k") > "0"', { target: 2, result: 1, key, mod_revision: 0 }],
    ['m("k")<"-5"', { target: 2, result: 2, mod_revision: -5 }],
    [' create( "k" ) = "1" ', { target: 1, result: 0, create_revision: 1 }],
    ['ver("k") != "3"', { target: 0, result: 3, version: 3 }],
    ['version("k") = "3"', { target: 0, version: 3 }],
    ['value("k") = "a \\"b\\""', { target: 3, value: Buffer.from('a "b"') }],
    ['val("\\x00") = ""', { target: 3, key: Buffer.alloc(1), value: Buffer.alloc(0) }],
    ['lease("k") = "1f"', { target: 4, lease: 31n }],
  ]
  for (const [line, compare] of rows) t.match(parseCompare(line), { ok: true, value: compare }, line)
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['mod("k") > 0', /is not a comparison/],
    ['size("k") > "0"', /compared by "size"/],
    ['mod("k") > "many"', /"many" is not a whole number/],
    ['mod("k") > "9007199254740993"', /is not a whole number/],
    ['lease("k") = "zz"', /"zz" must be a lease id/],
    ['mod("\\q") > "0"', /an escape is wrong/],
  ]
  for (const [line, reason] of wrong) t.match(parseCompare(line), { ok: false, reason }, line)
})

t.test('operations of a transaction take the words and flags of the commands', async t => {
  t.strictSame(splitWords(`  put "a b" 'c "d"' e"f"\tg\\h `), {
    ok: true,
    value: ['put', 'a b', 'c "d"', 'ef', 'g\\h'],
  })
  t.strictSame(splitWords(''), { ok: true, value: [] })
  t.equal(splitWords('put "a').ok, false)
  t.equal(splitWords("put 'a").ok, false)
  t.match(parseOperation('get a --prefix --limit=2'), {
    value: { request_range: { range_end: Buffer.from('b'), limit: 2 } },
  })
  t.match(parseOperation('put a --ignore-value --lease=7'), {
    value: { request_put: { ignore_value: true, lease: 7n } },
  })
  t.match(parseOperation('del a b --prev-kv'), {
    value: { request_delete_range: { range_end: Buffer.from('b'), prev_kv: true } },
  })
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['put a', /too few or too many/],
    ['get', /too few or too many/],
    ['del a b c', /too few or too many/],
    ['watch a', /can get, put and del; not watch a/],
    ['get a --nonsense', /there is no flag/],
    ['put a b --lease=zz', /must be a lease id/],
  ]
  for (const [line, reason] of wrong) t.match(parseOperation(line), { ok: false, reason }, line)
})
