// Questions to the server.

/** What the server refuses to answer, in one line. */
export class Refusal extends Error {}

/**
 * Ask the server.
 *
 * @param path Relative to the page.
 * @param parameters Pairs of name and value for the query.
 * @throws Refusal With the server's line, or one that says that it cannot be reached.
 */
export async function ask(path, parameters = []) {
  const query = new URLSearchParams(parameters).toString();
  let answer;
  try {
    const response = await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
    answer = await response.json();
  } catch {
    throw new Refusal("no answer from ashtune watch");
  }
  if (answer.error) throw new Refusal(answer.error);
  return answer;
}

/** Return the line of a refusal; what is no refusal is a fault, and thrown again. */
export function lineOf(problem) {
  if (problem instanceof Refusal) return problem.message;
  throw problem;
}
