import { invalid } from "./errors.ts";
import { textFromCode, type ValueKind } from "./value-kinds.ts";

const example = "http://localhost:4318";

/** Where OTLP over HTTP goes. */
export const httpEndpoint: ValueKind<string> = {
  is: `an http or https URL such as "${example}"`,
  fromText: (text, ignore) => {
    const url = parseHttpUrl(text);
    if (url === undefined) ignore(text);
    return url?.href;
  },
  fromCode: urlFromCode,
  show: redactAddress,
  showIgnored: redactAddress,
};

/** Where OTLP over gRPC goes; in a variable it may lack its scheme. */
export const grpcEndpoint: ValueKind<string> = {
  is: `an address such as "http://localhost:4317"`,
  fromText: (text, ignore) => {
    if (URL.canParse(withScheme(text))) return text;
    ignore(text);
    return undefined;
  },
  fromCode: urlFromCode,
  show: redactAddress,
  showIgnored: redactAddress,
};

/** The URL of a signal below the base URL of a collector. */
export function urlOfSignal(base: string, signal: string): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/${signal}`;
  return url.href;
}

/** The address as messages show it: without credentials and without a query, which may be some too. */
export function withoutCredentials(address: string): string {
  const url = parseHttpUrl(withScheme(address));
  if (url === undefined) return /[@?=#]/.test(address) ? "[redacted]" : address;
  return address.includes("://") ? `${url.origin}${url.pathname}` : url.host;
}

// As above, but it tells that there is something that it does not show.
function redactAddress(address: string): string {
  const url = parseHttpUrl(withScheme(address));
  if (url === undefined) return withoutCredentials(address);
  const hasCredentials = url.username !== "" || url.password !== "";
  const shown = withoutCredentials(address);
  return `${hasCredentials ? shown.replace(/^(\w+:\/\/)?/, "$1[redacted]@") : shown}${url.search === "" ? "" : "?[redacted]"}`;
}

function urlFromCode(option: string, value: unknown): string | undefined {
  const text = textFromCode(option, value);
  if (text === undefined) return undefined;
  const url = parseHttpUrl(text);
  if (url === undefined) throw invalid(`"${option}" must be an http or https URL such as "${example}", not "${redactAddress(text)}"`);
  return url.href;
}

function parseHttpUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === "http:" || url?.protocol === "https:" ? url : undefined;
}

function withScheme(address: string): string {
  return address.includes("://") ? address : `https://${address}`;
}
