import { once } from "node:events";
import { createServer, isIPv6, type AddressInfo, type Socket } from "node:net";
import grpc from "@grpc/grpc-js";

// A peer that is stopped, or doesn't read, can't hold up the closing for longer.
const CLOSE_GRACE_MS = 500;

export interface Listener {
  readonly port: number;
  /** Lets the open calls end, then closes all connections. Resolves when the port is free. */
  close(): Promise<void>;
}

/**
 * Serves a gRPC server on a TCP port. The connections are accepted here, and not by gRPC's own `bindAsync`, which does
 * not say why it can't listen, writes to the console then, and has no way to drop a peer that doesn't answer.
 *
 * @throws {Error} when it can't listen, with the system's error as `cause`.
 */
export async function listen(server: grpc.Server, host: string, port: number): Promise<Listener> {
  const connections = new Set<Socket>();
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  const listening = createServer((connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
    injector.injectConnection(connection);
  });
  listening.listen({ host, port });
  try {
    await once(listening, "listening");
  } catch (cause) {
    throw new Error(`The local sidecar can't listen on ${hostAndPort(host, port)}: ${reasonOf(cause)}.`, { cause });
  }
  return {
    port: boundPort(listening.address()),
    async close() {
      const closed = once(listening, "close");
      listening.close();
      server.tryShutdown(() => undefined);
      const grace = setTimeout(() => {
        for (const connection of connections) connection.destroy();
      }, CLOSE_GRACE_MS);
      await closed;
      clearTimeout(grace);
    },
  };
}

export function hostAndPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function boundPort(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("A TCP server has no port.");
  return address.port;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inUse = "code" in cause && cause.code === "EADDRINUSE";
  return inUse ? "the port is in use, and port 0 takes any that is free" : cause.message;
}
