// Server-Sent Events as one writes them in Node: POST /publish to everybody at GET /subscribe.
import { createServer } from 'node:http'
import { announce } from './announce.mjs'

const subscribers = new Set()

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.flushHeaders()
    subscribers.add(response)
    response.on('close', () => subscribers.delete(response))
    return
  }
  const pieces = []
  request.on('data', (piece) => pieces.push(piece))
  request.on('end', () => {
    const event = Buffer.from(`data: ${Buffer.concat(pieces)}\n\n`)
    for (const subscriber of subscribers) subscriber.write(event)
    response.writeHead(204).end()
  })
})
announce(server)
