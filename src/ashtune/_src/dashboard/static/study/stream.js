// The stream of a study's changes. A broken connection is opened again and continues after the last message.

import { SAVED } from "./saved.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 4000;
/** Milliseconds without a message after which the connection is dead: a running study sends about one a second. */
const SILENCE = 20000;

/**
 * Follow a stream of server-sent events forever.
 *
 * @param address Address of the stream, relative to the page.
 * @param take Called with the content of each snapshot or delta, and whether it is a snapshot.
 * @param tell Called with "connected", "lost", or "ended" if the server said that it ends. A saved page calls it once,
 *   with "saved". `file` is the file in which the server has saved the page at its end, or "".
 * @param isLive Returns whether silence means that the connection is dead.
 */
export function follow(address, take, tell, isLive) {
  let source = null;
  let position = null;
  let wait = FIRST_WAIT;
  let timer = 0;
  let heard = performance.now();
  let hasEnded = false;
  let file = "";
  if (SAVED) {
    take(SAVED.answers?.[address], true);
    tell("saved", file);
    return;
  }

  function open() {
    clearTimeout(timer);
    timer = 0;
    source?.close();
    heard = performance.now();
    source = new EventSource(position === null ? address : `${address}?after=${encodeURIComponent(position)}`);
    source.addEventListener("open", () => {
      heard = performance.now();
      wait = FIRST_WAIT;
      hasEnded = false;
      tell("connected", file);
    });
    source.addEventListener("snapshot", receive);
    source.addEventListener("delta", receive);
    source.addEventListener("end", ({ data }) => {
      hasEnded = true;
      file = JSON.parse(data).file;
    });
    source.addEventListener("error", retry);
  }

  function receive(event) {
    heard = performance.now();
    const data = JSON.parse(event.data);
    position = event.lastEventId || position;
    take(data, event.type === "snapshot");
  }

  function retry() {
    source.close();
    tell(hasEnded ? "ended" : "lost", file);
    clearTimeout(timer);
    timer = setTimeout(open, wait);
    wait = Math.min(LONGEST_WAIT, 2 * wait);
  }

  setInterval(() => {
    if (!timer && isLive() && performance.now() - heard > SILENCE) retry();
  }, 2000);
  addEventListener("online", () => timer && open());
  document.addEventListener("visibilitychange", () => !document.hidden && timer && open());
  open();
}
