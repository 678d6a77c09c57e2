/** A certificate for the loopback interface, for agents that speak TLS only. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The program that makes certificates. */
const openssl = "openssl";

/** Whether there is what makes certificates: OpenSSL 3 or later. */
export const canCertify: boolean = /^OpenSSL ([3-9]|\d\d)/.test(
  spawnSync(openssl, ["version"], { encoding: "utf8" }).stdout ?? "",
);

/** A key and a certificate, which signs itself; the files are gone after the test. */
export interface Certificate extends Disposable {
  readonly key: Buffer;
  readonly cert: Buffer;
  /** Where `cert` is, as for `NODE_EXTRA_CA_CERTS`. */
  readonly path: string;
}

/** Makes a certificate for `localhost` and 127.0.0.1. @throws Error where OpenSSL is missing. */
export function createCertificate(): Certificate {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "durable-telemetry-certificate-")));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync(openssl, ["req", "-x509", "-days", "1", ...kind, ...names, "-out", cert], { stdio: "pipe" });
  return {
    key: readFileSync(key),
    cert: readFileSync(cert),
    path: cert,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
