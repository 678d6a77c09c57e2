export const file: string | undefined;
export function fromBundle(name: string): unknown;
