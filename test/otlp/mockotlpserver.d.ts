// The package has no types of its own; this is what the tests use of it.
declare module "@elastic/mockotlpserver" {
  export interface MockOtlpServerOptions {
    readonly logLevel?: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
    readonly services?: readonly ("http" | "grpc" | "ui")[];
    readonly httpHostname?: string;
    readonly httpPort?: number;
    readonly grpcHostname?: string;
    readonly grpcPort?: number;
    /** Called for each trace request that any server of the process has accepted. */
    readonly onTrace?: (request: unknown) => void;
    /** The same for metrics requests. */
    readonly onMetrics?: (request: unknown) => void;
    /** The same for logs requests. */
    readonly onLogs?: (request: unknown) => void;
    /** Called for each request; one over gRPC has its metadata. */
    readonly onRequest?: (request: { readonly metadata?: { getMap(): Readonly<Record<string, unknown>> } }) => void;
  }

  export class MockOtlpServer {
    constructor(options?: MockOtlpServerOptions);
    readonly httpUrl: URL | null;
    readonly grpcUrl: URL | null;
    start(): Promise<void>;
    close(): Promise<void>;
  }
}
