import { newInstance, type Instance, type NewInstance } from "./instance.ts";

/** The instances of a task hub, in memory, in the order of their creation. */
export class InstanceStore {
  readonly #instances = new Map<string, Instance>();
  // Children stay listed by their parent's ID, whatever execution of the parent created them.
  readonly #children = new Map<string, Set<Instance>>();
  #lastSequence = 0;

  /** Creates an instance. It takes the place of one with the same ID, which must have been removed before. */
  create(at: Date, start: Omit<NewInstance, "sequence">): Instance {
    const instance = newInstance(at, { ...start, sequence: ++this.#lastSequence });
    this.#instances.set(instance.id, instance);
    const parentId = instance.parent?.instanceId;
    if (parentId !== undefined) {
      const siblings = this.#children.get(parentId) ?? new Set();
      this.#children.set(parentId, siblings.add(instance));
    }
    return instance;
  }

  find(id: string): Instance | undefined {
    return this.#instances.get(id);
  }

  /** Whether it is still the one that its ID names. */
  holds(instance: Instance): boolean {
    return this.#instances.get(instance.id) === instance;
  }

  all(): Iterable<Instance> {
    return this.#instances.values();
  }

  childrenOf(instance: Instance): Instance[] {
    return [...(this.#children.get(instance.id) ?? [])];
  }

  remove(instance: Instance): void {
    this.#instances.delete(instance.id);
    const parentId = instance.parent?.instanceId;
    if (parentId === undefined) return;
    const siblings = this.#children.get(parentId);
    siblings?.delete(instance);
    if (siblings?.size === 0) this.#children.delete(parentId);
  }
}
