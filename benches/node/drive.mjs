// Calls a server by the client that its own users have in Node, in the closed loop of src/load.rs, as src/callers.rs asks:
//
//     node drive.mjs switchboard|socket-io|socket-io-relay tcp://HOST:PORT CONNECTIONS×IN_FLIGHT BYTES
//
// Says `ready` once it is warm. Each line on its standard input is a number of milliseconds to call for, answered by
// `CALLS ELAPSED P50 P99`, times in nanoseconds. Ends with its standard input.
import { createInterface } from 'node:readline'

const WARM_UP_MS = 200

// Each opens a connection, and returns how to call over it: a string there, the same string back.
const CLIENTS = {
  async switchboard(host) {
    const { default: gotalk } = await import('../../clients/js/src/node.js')
    const sock = await gotalk.connect(`ws://${host}/gotalk/`)
    // As src/web.rs names it.
    return (text) => sock.request('bench.echo', text)
  },
  async 'socket-io'(host) {
    const { io } = await import('socket.io-client')
    const socket = io(`http://${host}`, { transports: ['websocket'], forceNew: true, reconnection: false })
    await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject))
    return (text) => socket.emitWithAck('echo', text)
  },
}

const [name, address, shape, bytes] = process.argv.slice(2)
const [connections, inFlight] = shape.split('×').map(Number)
const payload = 'x'.repeat(Number(bytes))

CLIENTS['socket-io-relay'] = CLIENTS['socket-io']

const calls = []
for (let count = 0; count < connections; count++) calls.push(await CLIENTS[name](new URL(address).host))

async function callUntil(call, until, latencies) {
  let asked = performance.now()
  while (asked < until) {
    const answer = await call(payload)
    const answered = performance.now()
    if (answer !== payload) throw new Error(`${payload.length} bytes came back as ${answer?.length} others`)
    latencies.push(answered - asked)
    asked = answered
  }
}

async function round(milliseconds) {
  const latencies = []
  const started = performance.now()
  const callers = calls.flatMap((call) =>
    Array.from({ length: inFlight }, () => callUntil(call, started + milliseconds, latencies)))
  await Promise.all(callers)
  const elapsed = performance.now() - started
  const sorted = Float64Array.from(latencies).sort()
  // The smallest value that so large a share of all does not exceed.
  const quantile = (share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  const times = [elapsed, quantile(0.5), quantile(0.99)].map((ms) => Math.round(ms * 1e6))
  return [latencies.length, ...times].join(' ')
}

await round(WARM_UP_MS)
console.log('ready')
for await (const order of createInterface({ input: process.stdin })) console.log(await round(Number(order)))
process.exit(0)
