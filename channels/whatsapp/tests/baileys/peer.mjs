// A person on the fake server, by Baileys: says what happens to it on stdout, does what it is told on stdin,
// one JSON object a line. Arguments: the server's address, and the key that signs its certificates, in hex.
import makeWASocket, { DisconnectReason, WA_CERT_DETAILS, initAuthCreds } from 'baileys'
import pino from 'pino'
import readline from 'node:readline'

const [url, root] = process.argv.slice(2)
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(root, 'hex')

// The library's encryption writes to the console, and stdout is ours.
console.log = console.info = console.warn = process.env.PEER_LOG ? console.error : () => {}

const tell = event => process.stdout.write(JSON.stringify(event) + '\n')
const logger = pino({ level: process.env.PEER_LOG ?? 'silent' }, pino.destination(2))
const creds = initAuthCreds()
const stored = {}
const keys = {
  get: async (type, ids) =>
    Object.fromEntries(ids.map(id => [id, stored[type]?.[id]]).filter(([, value]) => value !== undefined)),
  set: async data => {
    for (const type in data) {
      stored[type] ??= {}
      for (const id in data[type]) {
        if (data[type][id] == null) delete stored[type][id]
        else stored[type][id] = data[type][id]
      }
    }
  }
}

let socket
function connect () {
  socket = makeWASocket({
    auth: { creds, keys },
    waWebSocketUrl: url,
    logger,
    version: [2, 3000, 1043857760],
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => false,
    getMessage: async () => undefined
  })
  socket.ev.on('creds.update', update => Object.assign(creds, update))
  socket.ev.on('connection.update', update => {
    if (update.qr) tell({ qr: update.qr })
    if (update.connection === 'open') tell({ open: true })
    if (update.connection === 'close') {
      const code = update.lastDisconnect?.error?.output?.statusCode
      if ([DisconnectReason.restartRequired, 428, 408].includes(code)) connect()
      else tell({ closed: code ?? null })
    }
  })
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) {
      const extended = message?.extendedTextMessage
      tell({
        message: {
          id: key.id,
          fromMe: key.fromMe,
          text: message?.conversation ?? extended?.text ?? null,
          quoted: extended?.contextInfo?.quotedMessage?.conversation ?? extended?.contextInfo?.quotedMessage?.extendedTextMessage?.text ?? null
        }
      })
    }
  })
  socket.ev.on('presence.update', ({ presences }) => {
    for (const { lastKnownPresence } of Object.values(presences)) tell({ presence: lastKnownPresence })
  })
}

connect()
readline.createInterface({ input: process.stdin }).on('line', async line => {
  const { send, content } = JSON.parse(line)
  try {
    tell({ sent: (await socket.sendMessage(send, content)).key.id })
  } catch (error) {
    tell({ error: String(error?.stack ?? error) })
  }
}).on('close', () => process.exit(0))
