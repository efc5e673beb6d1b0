#!/usr/bin/env node
// For images without curl: asks one server for its health. The argument is a URL, or a path such as /livez on the
// server that this environment configures. Status 0: the answer was 200.
var get = require('node:http').get
var given = process.argv[2] || '/health'
var listen = process.env.KVORUM_LISTEN_CLIENT_URLS || process.env.ETCD_LISTEN_CLIENT_URLS
var url = new URL(given, (listen || 'http://127.0.0.1:2379').split(',')[0])
// Where a server listens on every interface, the loopback one is nearest.
if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
if (url.hostname === '[::]') url.hostname = '[::1]'
var request = get(url, { timeout: 3000 }, function (response) {
  response.resume()
  process.exitCode = response.statusCode === 200 ? 0 : 1
})
request.on('timeout', function () {
  request.destroy(new Error('no answer within 3 s'))
})
request.on('error', function (error) {
  process.stderr.write(url.href + ': ' + error.message + '\n')
  process.exitCode = 1
})
