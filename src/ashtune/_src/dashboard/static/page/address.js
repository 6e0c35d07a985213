// The reader's choices. They are parameters of the page's address, so that a reload or another reader sees the same.
//
// They are also kept in memory: the browser's history has addresses without later choices, and a browser may refuse to
// change the address of a page within a frame.

const choices = new URLSearchParams(globalThis.location?.search ?? "");

/** Return a choice, or "". */
export function kept(name) {
  return choices.get(name) ?? "";
}

/** Keep choices by their names. A list is several parameters of one name; "" removes a choice. */
export function keep(changes) {
  for (const [name, value] of Object.entries(changes)) {
    choices.delete(name);
    for (const each of [value].flat()) if (each !== "") choices.append(name, each);
  }
  write();
}

function write() {
  const address = new URL(location.href);
  address.search = choices.toString();
  try {
    if (address.href !== location.href) history.replaceState(null, "", address);
  } catch {
    // the choices stay in memory
  }
}

globalThis.addEventListener?.("popstate", write);
