export function bundledSdk(): unknown;
export function otlp(): typeof import("../otlp/index.ts", { with: { "resolution-mode": "import" } });
export function instrumentation(): typeof import("./index.ts", { with: { "resolution-mode": "import" } });
