// The names of several studies; they must differ when shown together.

/**
 * Return a name for each study, by its number.
 *
 * Studies of the same training function have the same name; it is then followed by the last part of the directory.
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
