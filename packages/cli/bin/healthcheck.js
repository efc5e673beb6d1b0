#!/usr/bin/env node
// For images without curl: asks one server for its health. Status 0: it can serve linearizable requests.
var get = require('node:http').get
var url = process.argv[2] || 'http://127.0.0.1:2379/health'
var request = get(url, { timeout: 3000 }, function (response) {
  response.resume()
  process.exitCode = response.statusCode === 200 ? 0 : 1
})
request.on('timeout', function () {
  request.destroy(new Error('no answer within 3 s'))
})
request.on('error', function (error) {
  process.stderr.write(url + ': ' + error.message + '\n')
  process.exitCode = 1
})
