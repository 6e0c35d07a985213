// One row of cards: the reader's questions, each with a word, a sentence and a link to its section.

import { areBusy, isBetter, whatMatters, whatNext, whyFailed } from "../study/answers.js";
import { element, setText } from "../page/dom.js";
import { newSection } from "../page/section.js";

export function answers(study) {
  const section = newSection(study, "answers", "Answers", "", "");
  section.element.classList.add("answers");
  const asked = (question, to, name, give) => {
    const known = { answer: null, refusal: "" };
    const own = card(question, to, ["head"], (parts) => give(parts, known));
    const learn = (news) => {
      Object.assign(known, news);
      own.show(study.parts);
    };
    const ask = () => (study.hasResult ? [name] : null);
    section.askWhenSeen(ask, (answer) => learn({ answer }), { refuse: (refusal) => learn({ refusal }) });
    return own;
  };
  const cards = [
    card("Is it getting better?", "best", ["head", "best"], isBetter),
    card("Are my workers busy?", "workers", ["head", "workers"], areBusy),
    asked("Which hyperparameter matters?", "importance", "importance", whatMatters),
    card("Why did these fail?", "failures", ["head", "failures"], whyFailed),
    asked("What next?", "report", "advice", (_, known) => whatNext(known)),
  ];
  section.body.append(element("ul.cards", cards.map((each) => each.element)));
  for (const { names, show, lack } of cards) study.on(names, show, lack);
  return section;
}

function card(question, to, names, answer) {
  const word = element("b");
  const text = element("span.text.quiet");
  const link = element("a.card", { href: `#${to}`, "data-to": to }, element("span.question", question), word, text);
  const say = ({ mood, word: short, text: sentence }) => {
    link.dataset.mood = mood;
    setText(word, short);
    setText(text, sentence);
  };
  const lack = () => say({ mood: "none", word: "Not known", text: "The server could not make this answer." });
  return { element: element("li", link), names, show: (parts) => say(answer(parts)), lack };
}
