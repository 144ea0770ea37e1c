// Says which Socket.IO protocol the installed client speaks.
import { protocol } from "socket.io-client";

console.log(`protocol ${protocol}`);
