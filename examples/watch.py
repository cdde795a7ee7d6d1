#!/usr/bin/env python3
"""Prints what the running deskhandd does, one line a notification: a whole deskhand.v1 client with
nothing but the standard library. Usage: watch.py [GOAL]; with a goal it starts a task and ends with
it (0 when it finished)."""
import json, os, socket, struct, sys

runtime = os.environ.get("XDG_RUNTIME_DIR")
folder = f"{runtime}/deskhand" if runtime else f"/tmp/deskhand-{os.getuid()}"
with open(f"{folder}/daemon.json") as f:
    daemon = json.load(f)

sock = socket.create_connection(("127.0.0.1", daemon["port"]))
stream = sock.makefile("rb")
sock.sendall((
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%(port)d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: deskhand.v1\r\nAuthorization: Bearer %(token)s\r\n\r\n" % daemon
).encode())
status = stream.readline().decode().strip()
if " 101 " not in status + " ":
    sys.exit(f"the daemon refused: {status}")
while stream.readline() not in (b"\r\n", b""):
    pass


def send(data, opcode=1):
    mask, data = os.urandom(4), data if isinstance(data, bytes) else json.dumps(data).encode()
    size = (struct.pack("!B", 0x80 | len(data)) if len(data) < 126
            else struct.pack("!BH", 0x80 | 126, len(data)))
    sock.sendall(bytes([0x80 | opcode]) + size + mask
                 + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))


def messages():
    while True:
        head = stream.read(2)
        if len(head) < 2:
            return
        n = head[1] & 0x7F
        if n >= 126:
            n = int.from_bytes(stream.read(2 if n == 126 else 8), "big")
        data = stream.read(n)
        if head[0] & 15 == 9:
            send(data, 10)  # ping, pong
        elif head[0] & 15 == 8:
            return
        else:
            yield json.loads(data)


task = None
if len(sys.argv) > 1:
    send({"jsonrpc": "2.0", "id": 1, "method": "start", "params": {"goal": sys.argv[1]}})
for m in messages():
    if "error" in m:
        sys.exit(m["error"]["message"])
    if "result" in m:
        task = m["result"]["task"]
        continue
    p = m["params"]
    print(m["method"], json.dumps(p, ensure_ascii=False), flush=True)
    if m["method"] == "state" and task and p["task"] == task and p["state"] in (
            "finished", "failed", "stopped", "needs_user"):
        sys.exit(0 if p["state"] == "finished" else 1)
