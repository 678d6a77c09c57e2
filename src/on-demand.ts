// The one place that names the file, which has the same name in `dist`.
export { crypto, events, format, fs, lruCache, parseDuration, path } from "./on-demand.cjs";
