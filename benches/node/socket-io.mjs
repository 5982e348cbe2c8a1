// An acknowledged emit is answered with what it brought. WebSocket only, no compression (the default): no polling first.
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { announce } from './announce.mjs'

const server = createServer()
const io = new Server(server, { transports: ['websocket'], serveClient: false })
io.on('connection', (socket) => socket.on('echo', (payload, answer) => answer(payload)))
announce(server)
