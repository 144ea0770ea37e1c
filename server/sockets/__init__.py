"""The socket layer: one port, Engine.IO 4 over long-polling and WebSocket, Socket.IO 5 on top."""
