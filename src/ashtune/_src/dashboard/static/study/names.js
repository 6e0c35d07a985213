// The names of several studies, which have to differ where they stand beside each other.

/**
 * Return a name for each study, by its number.
 *
 * Many studies are named by the same training function: of these the last part of the directory is named too.
 *
 * @param studies Each `{id, name, directory}`.
 */
export function namesOf(studies) {
  const named = new Map();
  for (const { id, name, directory } of studies) {
    const isAlone = studies.filter((other) => other.name === name).length === 1;
    const last = directory.split("/").filter(Boolean).at(-1);
    named.set(id, isAlone && name ? name : [...new Set([name, last])].filter(Boolean).join(" · "));
  }
  return named;
}
