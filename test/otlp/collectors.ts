/** Collectors that are in trouble, and one that inflates what is sent compressed. */
import { createServer, request, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type Http2Session } from "node:http2";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createGunzip } from "node:zlib";

export interface Collector extends AsyncDisposable {
  readonly url: string;
}

/** The URL of a port where nobody listens: it is none of those that other tests get for their servers, and has no service. */
export const deadCollector = "http://127.0.0.1:4";

/** Takes every connection and never says a word. `connected` settles with the first. */
export async function startHungCollector(): Promise<Collector & { readonly connected: Promise<void> }> {
  const sockets = new Set<Socket>();
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const server = createTcpServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    resolve();
  });
  return {
    url: await listen(server),
    connected,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await close(server);
    },
  };
}

/** Answers every request with `status`, and with a `reason` if it has one. */
export async function startRefusingCollector(status: number, reason?: string): Promise<Collector> {
  return startHttp((incoming, response) => {
    incoming.resume().on("end", () => response.writeHead(status, reason).end());
  });
}

/** Answers every request with success and a web page. */
export async function startWebSite(): Promise<Collector> {
  return startHttp((incoming, response) => {
    incoming
      .resume()
      .on("end", () => response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<h1>Welcome</h1>"));
  });
}

/** Begins to answer every request, and goes on with that for ever, byte by byte. `dropped` settles when someone gives up. */
export async function startDrippingCollector(): Promise<Collector & { readonly dropped: Promise<void> }> {
  const { promise: dropped, resolve } = Promise.withResolvers<void>();
  const server = await startHttp((incoming, response) => {
    response.writeHead(200);
    const drip = setInterval(() => response.write(" "), 20);
    incoming.resume();
    response.on("close", () => {
      clearInterval(drip);
      resolve();
    });
  });
  return { ...server, dropped };
}

/** Answers every connection with something that is no HTTP. */
export async function startMalformedCollector(): Promise<Collector> {
  const server = createTcpServer((socket) => {
    socket
      .on("error", () => {})
      .resume()
      .end("220 mail.example ESMTP\r\n");
  });
  return { url: await listen(server), [Symbol.asyncDispose]: () => close(server) };
}

/** Hands on to `target` what comes compressed with gzip, inflated; refuses the rest. */
export async function startGunzip(target: string): Promise<Collector> {
  return startHttp((incoming, response) => {
    if (incoming.headers["content-encoding"] !== "gzip") {
      response.writeHead(415).end();
      return;
    }
    const { host: _host, "content-encoding": _encoding, "content-length": _length, ...headers } = incoming.headers;
    const onward = request(new URL(incoming.url ?? "", target), { method: "POST", headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500);
      answer.pipe(response);
    });
    incoming.pipe(createGunzip()).pipe(onward);
  });
}

/** A proxy that hands on to `target` what is sent to any host. */
export async function startProxy(target: string): Promise<Collector> {
  return startHttp((incoming, response) => {
    const { pathname } = new URL(incoming.url ?? "");
    const { host: _host, ...headers } = incoming.headers;
    const onward = request(new URL(pathname, target), { method: "POST", headers }, (answer) => {
      answer.pipe(response.writeHead(answer.statusCode ?? 500, answer.headers));
    });
    incoming.pipe(onward);
  });
}

/** Hands on to `target` what it is sent, and answers after `milliseconds`. */
export async function startSlowCollector(target: string, milliseconds: number): Promise<Collector> {
  return startHttp((incoming, response) => {
    const { host: _host, ...headers } = incoming.headers;
    const onward = request(new URL(incoming.url ?? "", target), { method: "POST", headers }, (answer) => {
      setTimeout(() => answer.pipe(response.writeHead(answer.statusCode ?? 500, answer.headers)), milliseconds).unref();
    });
    onward.on("error", () => response.destroy());
    incoming.pipe(onward);
  });
}

/** Refuses with 413 what is larger than `bytes`, and hands the rest on to `target`. `refused` counts. */
export async function startSmallCollector(
  target: string,
  bytes: number,
): Promise<Collector & { readonly refused: () => number }> {
  let refused = 0;
  const server = await startHttp((incoming, response) => {
    const { host: _host, ...headers } = incoming.headers;
    if (Number(headers["content-length"]) > bytes) {
      refused += 1;
      incoming.resume().on("end", () => response.writeHead(413).end());
      return;
    }
    incoming.pipe(
      request(new URL(incoming.url ?? "", target), { method: "POST", headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      }),
    );
  });
  return { ...server, refused: () => refused };
}

/** Takes every request, and answers with `body` as JSON. */
export async function startAnsweringCollector(body: unknown): Promise<Collector> {
  return startHttp((incoming, response) => {
    incoming
      .resume()
      .on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body)));
  });
}

/** Takes every call over gRPC, and answers with `message`, which is protobuf. `paths` are those that were called. */
export async function startGrpcCollector(
  message: Uint8Array,
): Promise<Collector & { readonly paths: readonly string[] }> {
  const paths: string[] = [];
  const sessions = new Set<Http2Session>();
  // A message is a byte that says whether it is compressed, four for its length, and what is in it.
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const server = createHttp2Server((incoming, response) => {
    paths.push(incoming.url);
    incoming.resume().on("end", () => {
      response.writeHead(200, { "content-type": "application/grpc" });
      response.addTrailers({ "grpc-status": "0" });
      response.end(Buffer.concat([prefix, message]));
    });
  });
  server.on("session", (session) => sessions.add(session));
  return {
    url: await listen(server),
    paths,
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) session.destroy();
      await close(server);
    },
  };
}

/** Refuses every request with `status` and these headers, for as long as it is asked. `asked` counts. */
export async function startRetryCollector(
  status: number,
  headers: Readonly<Record<string, string>>,
): Promise<Collector & { readonly asked: () => number }> {
  let asked = 0;
  const server = await startHttp((incoming, response) => {
    asked += 1;
    incoming.resume().on("end", () => response.writeHead(status, headers).end());
  });
  return { ...server, asked: () => asked };
}

async function startHttp(onRequest: RequestListener): Promise<Collector> {
  const server = createServer(onRequest);
  return {
    url: await listen(server),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await close(server);
    },
  };
}

async function listen(server: Pick<Server, "once" | "listen" | "address">): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server has no port");
  return `http://127.0.0.1:${address.port}`;
}

async function close(server: Pick<Server, "close">): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  await promise;
}
