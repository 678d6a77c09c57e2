/** A count with its noun: `1 span`, `2 spans`. */
export function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
