const applicationInsights = require("applicationinsights");

applicationInsights.setup(process.env.APPLICATIONINSIGHTS_CONNECTION_STRING).start();
globalThis.endTelemetry = () => applicationInsights.defaultClient.shutdown();
