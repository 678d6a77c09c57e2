import type { CriticalSection } from "./entity.ts";

/** The critical sections that orchestrations have entered, or wait to enter, and have not left. */
export class CriticalSections {
  readonly #ofInstance = new Map<string, Set<CriticalSection>>();

  add(section: CriticalSection): void {
    const { instanceId } = section.owner;
    const own = this.#ofInstance.get(instanceId) ?? new Set();
    this.#ofInstance.set(instanceId, own.add(section));
  }

  find(instanceId: string, id: string): CriticalSection | undefined {
    return this.of(instanceId).find((section) => section.id === id);
  }

  /** Those of one orchestration. */
  of(instanceId: string): CriticalSection[] {
    return [...(this.#ofInstance.get(instanceId) ?? [])];
  }

  remove(section: CriticalSection): void {
    const own = this.#ofInstance.get(section.owner.instanceId);
    own?.delete(section);
    if (own?.size === 0) this.#ofInstance.delete(section.owner.instanceId);
  }

  clear(): void {
    this.#ofInstance.clear();
  }
}
