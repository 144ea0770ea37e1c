// Node's Socket.IO server as it comes: the `ws` package, without compression.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  socket.on("echo", (...args) => {
    const acknowledge = args.pop();
    acknowledge(...args);
  });
});

http.listen(0, "127.0.0.1", () => {
  console.log(`listening on port ${http.address().port}`);
});
