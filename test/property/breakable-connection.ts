import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A TCP connection to a task hub that can be broken, as by a network that fails. */
export interface BreakableConnection extends AsyncDisposable {
  /** The address for the worker. */
  readonly address: string;
  /** Cuts all connections at once; new ones can be made. */
  cut(): void;
}

/** Listens, and connects who comes to the task hub on `port`. */
export async function breakableConnection(port: number): Promise<BreakableConnection> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    // A cut connection ends in an error at either end.
    return socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  };
  const server = createServer((worker) => {
    const hub = keep(connect(port, "127.0.0.1"));
    keep(worker).pipe(hub).pipe(worker);
    worker.on("close", () => hub.destroy());
    hub.on("close", () => worker.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    address: `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    cut,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}
