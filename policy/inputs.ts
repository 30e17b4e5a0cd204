/** What a preview cannot know yet is judged in the update, before the resource is made. */
export function judged<T>(faults: () => T[]): T[] {
  try {
    return faults();
  } catch (error) {
    // The class is Pulumi's own and not exported.
    if ((error as Error).constructor.name === "UnknownValueError") return [];
    throw error;
  }
}

/** The faults of a list's items, each judged by itself, so that one which is not known yet hides no other. */
export function ofEach<T, F>(items: readonly T[] | null | undefined, faults: (item: T, index: number) => F[]): F[] {
  return Array.from({ length: items?.length ?? 0 }).flatMap((_, index) => judged(() => faults(items![index]!, index)));
}

/**
 * A label of a container, a volume or a network. Not by ofEach: a label that is not known yet may be the one, and then
 * nothing that hangs on it can be judged.
 */
export function labelOf(props: unknown, name: string): string | undefined {
  const { labels } = props as { labels?: readonly { label: string; value: string }[] | null };
  return labels?.find(({ label }) => label === name)?.value;
}
