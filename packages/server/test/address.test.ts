import t from 'tap'
import { addressOf, saidAddresses } from '#src/node/address.js'

t.test('where a peer says that it is, as far as it can be dialled from here', async t => {
  const known = [addressOf('http://10.0.0.1:2380')]
  const said = ['http://[fd00::1]:2380', 'https://M.example:2380', 'http://10.0.0.2:2380/']
  t.strictSame(saidAddresses(said, known), [
    { host: 'fd00::1', port: 2380, secure: false },
    { host: 'm.example', port: 2380, secure: true },
    { host: '10.0.0.2', port: 2380, secure: false },
  ])
  const useless = [
    '',
    'x',
    'http://0.0.0.0:2380',
    'http://[::]:2380',
    'http://a:0',
    'http://a:1/path',
    'unix://a:1',
  ]
  t.strictSame(saidAddresses(useless, known), [])
  const own = ['http://localhost:2380', 'http://127.0.0.1:1', 'http://[::1]:1']
  t.strictSame(saidAddresses(own, known), [], 'another machine has nothing there')
  t.equal(saidAddresses(own, [addressOf('http://127.0.0.1:9')]).length, 3)
})
