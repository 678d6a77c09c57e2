import tracer from "dd-trace";

tracer.init();
const provider = new tracer.TracerProvider();
provider.register();
await import("./flush.mjs");
