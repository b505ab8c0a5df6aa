// Starts the suite's origin server on loopback only: by itself it listens on every address of the machine.
import http from 'node:http'
import net from 'node:net'

http.Server.prototype.listen = function (port) {
  return net.Server.prototype.listen.call(this, port, '127.0.0.1')
}
await import(`${process.env.SUITE}/test-engine/server/server.mjs`)
