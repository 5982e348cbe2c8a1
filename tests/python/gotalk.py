#!/usr/bin/env python3
"""gotalk v1 in a few lines of plain Python, written from the description of the protocol.

It stands for a foreign implementation: it knows gotalk, and a hub's operations `hub.serve` and `hub.subscribe` as any
client may call them, and nothing of how the hub is made. Only the standard library is needed.

    gotalk.py call      URL OP PAYLOAD [--stream]     the result to stdout, or `KIND MESSAGE` of a fault, exit status 1
    gotalk.py serve     URL OP [--as WHAT]            answers calls until it is killed
    gotalk.py publish   URL TOPIC PAYLOAD             one notification
    gotalk.py subscribe URL FILTER COUNT              prints `TOPIC PAYLOAD`, a line each

`serve` and `subscribe` print `ready` when the hub has agreed. Options of all:

    --id HEX       the first request id, as 8 hex digits of any 4 bytes
    --upper        writes hex digits in upper case
    --split        sends every byte in a segment of its own
    --merge        holds back what it sends until it has to read, so that messages share segments
    --ca FILE      trusts this certificate at a tls:// URL
    --cert FILE    shows this certificate, with its key in the same file
    --proxy LINE   says this PROXY line first
"""

import argparse
import socket
import ssl
import sys
import time

READ_LIMIT_S = 30
HEARTBEAT_INTERVAL_S = 5


class Connection:
    """Messages over a socket."""

    def __init__(self, options):
        self.options = options
        self.held = b""
        self.sent_heartbeat_at = 0.0
        self.socket = self.connect(options.url)
        self.send(b"01")
        self.flush()
        if self.read(2) != b"01":
            raise SystemExit("the other side speaks another version")
        self.heartbeat()

    def connect(self, url):
        scheme, _, rest = url.partition("://")
        if scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(rest)
            return connection
        host, _, port = rest.rpartition(":")
        host = host.strip("[]")
        connection = socket.create_connection((host, int(port)), READ_LIMIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.options.proxy:
            connection.sendall(self.options.proxy.encode() + b"\r\n")
        if scheme == "tls":
            context = ssl.create_default_context(cafile=self.options.ca)
            if self.options.cert:
                context.load_cert_chain(self.options.cert)
            connection = context.wrap_socket(connection, server_hostname=host)
        return connection

    def hex(self, number, digits):
        text = f"{number:0{digits}x}"
        return (text.upper() if self.options.upper else text).encode()

    def send(self, data):
        self.held += data
        if not self.options.merge:
            self.flush()

    def flush(self):
        data, self.held = self.held, b""
        if self.options.split:
            for byte in data:
                self.socket.sendall(bytes([byte]))
        elif data:
            self.socket.sendall(data)

    def message(self, kind, identifier=b"", name=None, number=None, payload=None):
        data = kind + identifier
        if number is not None:
            data += self.hex(number, 8)
        if name is not None:
            data += self.hex(len(name.encode()), 3) + name.encode()
        if payload is not None:
            data += self.hex(len(payload), 8) + payload
        self.send(data)

    def heartbeat(self):
        now = time.time()
        if now - self.sent_heartbeat_at >= HEARTBEAT_INTERVAL_S:
            self.sent_heartbeat_at = now
            self.send(b"h" + self.hex(0, 4) + self.hex(int(now), 8))

    def read(self, size):
        self.flush()
        data = b""
        while len(data) < size:
            self.socket.settimeout(HEARTBEAT_INTERVAL_S)
            try:
                part = self.socket.recv(size - len(data))
            except TimeoutError:
                self.heartbeat()
                self.flush()
                continue
            if not part:
                raise EOFError("the other side has closed the connection")
            data += part
        return data

    def next(self):
        """The next message that is no heartbeat: kind, id, name, number, payload."""
        while True:
            kind = self.read(1)
            identifier = self.read(4) if kind in b"rspRSEe" else b""
            name = self.read(int(self.read(3), 16)).decode() if kind in b"rsn" else None
            number = int(self.read(8), 16) if kind in b"ef" else None
            if kind == b"h":
                self.read(12)
                continue
            payload = b"" if kind == b"f" else self.read(int(self.read(8), 16))
            return kind, identifier, name, number, payload

    def ask(self, operation, json):
        self.message(b"r", b"\xff\x00ok", operation, payload=json.encode())
        kind, _, _, _, payload = self.next()
        if kind != b"R":
            raise SystemExit(f"{operation}: {payload.decode()}")


def call(connection, options):
    identifier = bytes.fromhex(options.id)
    payload = options.payload.encode()
    if options.stream:
        connection.message(b"s", identifier, options.name, payload=payload[:1])
        for at in range(1, len(payload)):
            connection.message(b"p", identifier, payload=payload[at : at + 1])
        connection.message(b"p", identifier, payload=b"")
    else:
        connection.message(b"r", identifier, options.name, payload=payload)
    while True:
        kind, answered, _, number, payload = connection.next()
        if answered != identifier:
            raise SystemExit(f"an answer to {answered!r}, which was never asked")
        if kind in b"Ee":
            wait = "" if number is None else f" {number}"
            print(f"{kind.decode()}{wait} {payload.decode()}")
            return 1
        sys.stdout.buffer.write(payload)
        sys.stdout.flush()
        if kind == b"R" or not payload:
            return 0


def serve(connection, options):
    """`upper` answers in the shape that it was asked in; the others are for those who watch what becomes of a call."""
    connection.ask("hub.serve", '{"ops":["%s"]}' % options.name)
    print("ready")
    streams = set()
    while True:
        kind, identifier, name, _, payload = connection.next()
        if kind == b"r" and options.what == "upper":
            connection.message(b"R", identifier, payload=payload.upper())
        elif kind == b"r" and options.what == "error":
            connection.message(b"E", identifier, payload=b"not today: " + payload)
        elif kind == b"r" and options.what == "retry":
            connection.message(b"e", identifier, number=1500, payload=b"later: " + payload)
        elif kind in b"rs" and options.what == "silent":
            print(f"called {name}")
        elif kind in b"rs" and options.what == "half":
            connection.message(b"S", identifier, payload=b"half\n")
            connection.flush()
            print(f"called {name}")
        elif kind in b"sp" and options.what == "upper":
            if kind == b"s":
                streams.add(identifier)
            elif identifier not in streams:
                raise SystemExit(f"a part of {identifier!r}, which never began")
            elif not payload:
                streams.remove(identifier)
            if payload or kind == b"p":
                connection.message(b"S", identifier, payload=payload.upper())


def publish(connection, options):
    connection.message(b"n", name=options.name, payload=options.payload.encode())
    # When the hub has answered this, it has seen what came before.
    connection.ask("hub.whoami", "{}")
    return 0


def subscribe(connection, options):
    connection.ask("hub.subscribe", '{"topics":["%s"]}' % options.name)
    print("ready")
    for _ in range(int(options.payload)):
        kind, _, name, _, payload = connection.next()
        if kind != b"n":
            raise SystemExit(f"{kind!r} is no notification")
        print(name, payload.decode())
    return 0


def main():
    commands = {"call": call, "serve": serve, "publish": publish, "subscribe": subscribe}
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=commands)
    parser.add_argument("url")
    parser.add_argument("name")
    parser.add_argument("payload", nargs="?", default="")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--as", dest="what", choices=["upper", "error", "retry", "silent", "half"], default="upper")
    parser.add_argument("--id", default="00010203")
    parser.add_argument("--upper", action="store_true")
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--ca")
    parser.add_argument("--cert")
    parser.add_argument("--proxy")
    options = parser.parse_args()
    return commands[options.command](Connection(options), options)


if __name__ == "__main__":
    sys.exit(main())
