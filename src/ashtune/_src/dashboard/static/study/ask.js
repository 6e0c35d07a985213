// Questions to the server.

import { SAVED, savedAnswer } from "./saved.js";

/** A refusal of the server, in one line. */
class Refusal extends Error {}

/**
 * Ask the server.
 *
 * @param path Relative to the page.
 * @param parameters Pairs of name and value for the query.
 * @throws Refusal With the server's line, or with one that says that the server cannot be reached.
 */
export async function ask(path, parameters = []) {
  if (SAVED) return orRefused(savedAnswer(path, parameters));
  const query = new URLSearchParams(parameters).toString();
  return answerOf(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
}

/** Send JSON to the server. @throws Refusal As `ask`. */
export function post(path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-Ashtune": "1" };
  return answerOf(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function answerOf(address, options) {
  let answer;
  try {
    answer = await (await fetch(address, options)).json();
  } catch {
    throw new Refusal("no answer from ashtune watch");
  }
  return orRefused(answer);
}

function orRefused(answer) {
  if (answer.error) throw new Refusal(answer.error);
  return answer;
}

/** Return the line of a refusal; throw any other error again. */
export function lineOf(problem) {
  if (problem instanceof Refusal) return problem.message;
  throw problem;
}
