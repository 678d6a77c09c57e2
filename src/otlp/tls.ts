import { createSecureContext } from "node:tls";
import { diag } from "@opentelemetry/api";
import type { Signal, SignalSettings } from "./settings.ts";

/** What TLS needs beside its defaults, as Node.js and gRPC take it. */
export interface TlsFiles {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

/** The files that the settings name. Those that TLS can't do with are told of and left out. */
export function tlsFilesOf(signal: Signal, { certificate, clientCertificate, clientKey }: SignalSettings): TlsFiles {
  const given = [certificate, clientCertificate, clientKey].filter(({ value }) => value !== undefined);
  if (given.length === 0) return {};
  const files = { ca: certificate.value?.content, cert: clientCertificate.value?.content, key: clientKey.value?.content };
  try {
    if ((files.cert === undefined) !== (files.key === undefined)) throw new Error("a client's certificate and key need each other");
    createSecureContext(files);
    return files;
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    diag.warn(`${signal} are exported without what is in the files of ${given.map(({ source }) => source).join(", ")} (${cause})`);
    return {};
  }
}
