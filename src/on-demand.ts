// The one place that names the file, which has the same name in `dist`.
export { format, lruCache, parseDuration } from "./on-demand.cjs";
