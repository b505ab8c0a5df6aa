// Runs the suite through a shield and counts as the suite does: a test whose dependency fails does not count, tests for browsers only are
// left out. A test that fails is run once more by itself, since pauses of a second become something else on a busy machine; what only
// passes then is named.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const { SUITE: suite, SHIELD: shield } = process.env
const { values: options, positionals: flags } = parseArgs({
  allowPositionals: true,
  options: {
    required: { type: 'string', default: '0' },
    optimal: { type: 'string', default: '0' },
    id: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' }
  }
})

const { default: suites } = await import(`${suite}/tests/index.mjs`)
const { runTests, getResults } = await import(`${suite}/test-engine/client/runner.mjs`)
const { testResults } = await import(`${suite}/test-engine/client/test.mjs`)
const { determineTestResult, resultTypes } = await import(`${suite}/test-engine/lib/results.mjs`)

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function accepts (port, child) {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break
    const socket = net.connect(port, '127.0.0.1')
    const up = await new Promise(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (up) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`${child.spawnargs.join(' ')}: does not listen on port ${port}`)
}

const work = fs.mkdtempSync(path.join(os.tmpdir(), 'surgewall-conformance-'))
const children = []
async function start (port, command, args, env) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } })
  children.push(child)
  await accepts(port, child)
}
async function end () {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
  fs.rmSync(work, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end().then(() => process.exit(130)))

// only keeps the named tests of every suite.
const only = ids => suites.map(s => ({ ...s, tests: s.tests.filter(t => ids.includes(t.id)) }))
const applicable = suites.flatMap(s => s.tests).filter(t => t.browser_only !== true)
const passes = t => [resultTypes.pass, resultTypes.yes].includes(determineTestResult(suites, t.id, testResults))

let again = []
try {
  const origin = await freePort()
  await start(origin, process.execPath, [new URL('origin.mjs', import.meta.url).pathname],
    { npm_config_protocol: 'http', npm_config_port: String(origin), npm_config_pidfile: path.join(work, 'pid') })
  const listen = await freePort()
  const admin = await freePort()
  await start(listen, shield, ['--listen', `127.0.0.1:${listen}`, '--admin-listen', `127.0.0.1:${admin}`,
    '--origin', `http://127.0.0.1:${origin}`, '--log-level', 'warn', ...flags])
  const base = `http://127.0.0.1:${listen}`
  if (options.id.length > 0) {
    for (const t of applicable) t.dump = options.id.includes(t.id)
    await runTests(only(options.id), false, base)
    for (const id of options.id) console.log(id, JSON.stringify(testResults[id]))
  } else {
    await runTests(suites, false, base)
    again = applicable.filter(t => t.kind !== 'check' && testResults[t.id] !== true)
    for (const t of again) delete testResults[t.id]
    await runTests(only(again.map(t => t.id)), false, base, 1)
    again = again.filter(t => testResults[t.id] === true)
  }
} finally {
  await end()
}
if (options.json) fs.writeFileSync(options.json, JSON.stringify(getResults(), null, 2))
if (options.id.length > 0) process.exit(options.id.every(id => testResults[id] === true) ? 0 : 1)

let short = false
console.log(`shield ${flags.join(' ') || '(defaults)'}`)
for (const [kind, word, bar] of [['required', 'required', options.required], ['optimal', 'optional', options.optimal], ['check', 'checks answered yes', 0]]) {
  const tests = applicable.filter(t => (t.kind ?? 'required') === kind)
  const passed = tests.filter(passes)
  console.log(`${word}: ${passed.length} of ${tests.length}${Number(bar) > 0 ? ` (bar ${bar})` : ''}`)
  if (passed.length < Number(bar)) short = true
  if (kind === 'check') continue
  for (const t of tests.filter(t => !passes(t))) {
    const result = testResults[t.id]
    const why = result === true ? `depends on ${t.depends_on.filter(id => testResults[id] !== true).join(', ') || 'what depends on a failed test'}` : result?.join(': ')
    console.log(`  ${t.id}: ${why}`)
  }
}
if (again.length > 0) console.log(`passed only when run again: ${again.map(t => t.id).join(' ')}`)
process.exit(short ? 1 : 0)
