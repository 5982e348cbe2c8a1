// Answers what socket-io-relay.mjs at the address in the first argument passes on.
import { io } from 'socket.io-client'

const address = process.argv[2]
const socket = io(`http://${new URL(address).host}/responder`, { transports: ['websocket'] })
socket.on('echo', (payload, answer) => answer(payload))
socket.on('connect', () => console.log(`ready ${address}`))
process.stdin.on('end', () => process.exit(0)).resume()
