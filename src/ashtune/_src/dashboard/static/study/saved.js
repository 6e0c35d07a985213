// The data of a page that is saved as one file. Such a page has no server.

const place = globalThis.document?.getElementById("saved");

/**
 * The saved data, or null if the page has a server: the time, and either the answers of the server by path, or a title
 * and sections.
 *
 * @type {{ at: string, answers?: Record<string, any>, title?: string, sections?: ReportSection[] } | null}
 */
export const SAVED = place ? JSON.parse(place.textContent ?? "") : null;

/** Return the saved answer to a question, or a refusal. Of trials, return the rows that are asked for. */
export function savedAnswer(path, parameters) {
  const { "api/studies": list, [path]: answer } = /** @type {Record<string, any>} */ (SAVED?.answers ?? {});
  if (!answer) return { error: `this is not in the saved page; see it with: ashtune watch ${list.studies[0].directory}` };
  if (!answer.rows) return answer;
  const { offset, count } = Object.fromEntries(parameters);
  return { ...answer, rows: answer.rows.slice(offset, offset + count), saved: answer.rows.length };
}
