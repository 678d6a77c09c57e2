"use strict";
// Loads what few programs need when they need it, which keeps `import "durable-telemetry"` fast. It is CommonJS, and a
// separate file in `dist` too: `require` loads a module at the call, and bundlers find it by its literal name.

/** The class `LRUCache`, for a store in memory. */
exports.lruCache = () => require("lru-cache").LRUCache;

/** Parses a duration such as "5m". */
exports.parseDuration = (duration) => require("ms")(duration);

// Modules of Node.js with lazy members, such as `crypto.webcrypto`: an ES module's import of one evaluates all of them.

/** Formats a log message with its arguments. */
exports.format = (...args) => require("node:util").format(...args);

exports.crypto = require("node:crypto");
exports.events = () => require("node:events");
exports.fs = () => require("node:fs");
exports.path = () => require("node:path");
