// What a caller emits is answered by the program that has connected to `/responder`, as through a hub.
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { announce } from './announce.mjs'

const server = createServer()
const io = new Server(server, { transports: ['websocket'], serveClient: false })
let responder
io.of('/responder').on('connection', (socket) => { responder = socket })
io.on('connection', (socket) => socket.on('echo', (payload, answer) => responder.emit('echo', payload, answer)))
announce(server)
