/** A registry of the day after: the one that is configured, with versions that do not exist yet. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

type Ranges = Readonly<Record<string, string>>;

interface Manifest {
  readonly version: string;
  readonly dependencies?: Ranges;
  readonly peerDependencies?: Ranges;
}

interface Packument {
  readonly "dist-tags": Ranges;
  readonly versions: Readonly<Record<string, Manifest>>;
  readonly time?: Ranges;
}

/** A release that does not exist yet: of each package that has a version named here, the next one. */
export interface FutureRelease {
  /** The next version, by the one that it has the files and dependencies of. */
  readonly versions: Ranges;
  /** What the new versions ask for as peers. */
  readonly peers: Ranges;
}

/** Such a registry, on the loopback interface. */
export interface FutureRegistry extends AsyncDisposable {
  readonly url: string;
}

/** Serves what `registry` serves, and the packages `@opentelemetry/…` as they are after `release`. */
export async function startFutureRegistry(registry: string, release: FutureRelease): Promise<FutureRegistry> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? "").slice(1);
    const upstream = await fetch(new URL(path, registry), { headers: { accept: request.headers.accept ?? "*/*" } });
    response.writeHead(upstream.status, { "content-type": upstream.headers.get("content-type") ?? "application/json" });
    const isPackument = /^@opentelemetry(%2f|\/)[^/]+$/i.test(path);
    if (isPackument && upstream.ok) response.end(JSON.stringify(after(release, (await upstream.json()) as Packument)));
    else if (upstream.body === null) response.end();
    else await pipeline(Readable.fromWeb(upstream.body), response);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The registry has no port");
  return {
    url: `http://127.0.0.1:${address.port}/`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function after({ versions, peers }: FutureRelease, packument: Packument): Packument {
  const moved = (ranges: Ranges): Ranges =>
    Object.fromEntries(Object.entries(ranges).map(([name, range]) => [name, versions[range] ?? range]));
  const asked = (ranges: Ranges): Ranges =>
    Object.fromEntries(Object.entries(ranges).map(([name, range]) => [name, peers[name] ?? range]));
  const added = Object.entries(versions).flatMap(([present, next]): readonly (readonly [string, Manifest])[] => {
    const manifest = packument.versions[present];
    if (manifest === undefined) return [];
    const { dependencies = {}, peerDependencies = {} } = manifest;
    return [
      [
        next,
        { ...manifest, version: next, dependencies: moved(dependencies), peerDependencies: asked(peerDependencies) },
      ],
    ];
  });
  const [newest] = added.at(-1) ?? [];
  if (newest === undefined) return packument;
  const now = new Date().toISOString();
  return {
    ...packument,
    "dist-tags": { ...packument["dist-tags"], latest: newest },
    versions: { ...packument.versions, ...Object.fromEntries(added) },
    ...(packument.time && {
      time: { ...packument.time, ...Object.fromEntries(added.map(([version]) => [version, now])) },
    }),
  };
}
