// Listens on a free port of loopback, says where, and ends with the process that started this one.
export function announce(server) {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
    console.log(`ready tcp://127.0.0.1:${server.address().port}`)
  })
  process.stdin.on('end', () => process.exit(0)).resume()
}
