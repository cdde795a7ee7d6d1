// JSON-RPC 2.0 over the daemon's websocket (docs/protocol.md). Reconnects by itself, slower each
// time; calls that wait when the connection goes fail with a sentence.

const FIRST_WAIT_MS = 500, LAST_WAIT_MS = 8000;

export class Rpc {
  constructor({onNote, onConnection}) {
    this.onNote = onNote;
    this.onConnection = onConnection;
    this.waiting = new Map();
    this.lastId = 0;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  connect() {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    this.socket = new WebSocket(`${scheme}//${location.host}/ws`, 'deskhand.v1');
    this.socket.addEventListener('open', () => {
      this.wait = FIRST_WAIT_MS;
      this.onConnection(true);
    });
    this.socket.addEventListener('message', (e) => this.receive(e.data));
    this.socket.addEventListener('close', () => {
      for (const {reject} of this.waiting.values())
        reject(new Error('the connection to the daemon is gone'));
      this.waiting.clear();
      this.onConnection(false);
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(this.wait * 2, LAST_WAIT_MS);
    });
  }

  receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message?.method === 'string') {
      this.onNote(message.method, message.params ?? {});
      return;
    }
    const call = this.waiting.get(message?.id);
    if (!call)
      return;
    this.waiting.delete(message.id);
    if (message.error)
      call.reject(new Error(String(message.error.message)));
    else
      call.resolve(message.result ?? {});
  }

  call(method, params) {
    if (this.socket.readyState !== WebSocket.OPEN)
      return Promise.reject(new Error('there is no connection to the daemon'));
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject});
      this.socket.send(JSON.stringify({jsonrpc: '2.0', id, method, params}));
    });
  }
}
