// Sections that show figures of the server: the ladder, the best so far, workers, curves, importance.

import { element, setText } from "../page/dom.js";
import { newFigure, together } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { capital } from "../page/text.js";
import { askChosen, curvesOf } from "./chosen.js";

export function ladder(study) {
  const section = newSection(study, "ladder", "The ladder", "Each trial starts at the lowest rung.", "Ladder");
  const figure = newFigure("", "The ladder");
  section.body.append(figure.element);
  section.drawWhenSeen(["ladder"], ({ ladder: part }) => {
    setText(section.lead, `Each trial starts at the lowest rung. ${part.quota_text}`);
    figure.show(part.figure);
  });
  return section;
}

export function best(study) {
  const lead = "The best result so far. Each point is a result, in the colour of its rung.";
  const section = newSection(study, "best", "Is it getting better?", lead, "Best");
  section.isEmpty = () => !study.hasResult;
  const overTime = newFigure("Over time", "The best over time");
  const overResource = newFigure("Over what was trained", "The best over what was trained");
  section.body.append(element("div.pair", overTime.element, overResource.element));
  section.drawWhenSeen(["best"], ({ best: part }) => {
    overTime.show(part.over_time);
    overResource.show(part.over_resource);
  });
  return section;
}

/** The Pareto front of a study with several objectives. */
export function front(study) {
  const lead = "Results that no other result beats in all objectives. The star is the best of the study.";
  const section = newSection(study, "front", "Which trade-offs are there?", lead, "Front");
  section.isEmpty = () => !study.hasResult || study.parts.head.objectives.length < 2;
  const figure = newFigure("", "Front");
  section.body.append(figure.element);
  section.askWhenSeen(
    () => ["front"],
    (/** @type {Answers["contour"]} */ answer) => figure.show(answer.figure),
  );
  return section;
}

export function workers(study) {
  const lead =
    "What each worker does, the latest at the right. Colours show training, by rung; patterns show all other time.";
  const section = newSection(study, "workers", "Are my workers busy?", lead, "Workers");
  const lanes = newFigure("Lanes");
  const time = newFigure("Where their time went");
  section.body.append(lanes.element, time.element);
  section.drawWhenSeen(["workers"], ({ workers: part }) => {
    lanes.show(part.timeline);
    time.show(part.shares);
  });
  return section;
}

export function importance(study) {
  const lead =
    "A random forest learns from the trials without failure how good a configuration is. Each bar is a share of all effects.";
  const section = newSection(study, "importance", "Which hyperparameter matters?", lead, "Importance");
  section.isEmpty = () => !study.hasResult || study.names.length < 1;
  const figure = newFigure("", "Importance");
  section.body.append(figure.element);
  section.askWhenSeen(
    () => ["importance"],
    (/** @type {Answers["importance"]} */ answer) => {
      section.say(answer.figure.notes.map((note) => `${capital(note)}.`).join(" "));
      figure.show({ ...answer.figure, notes: [] });
    },
  );
  return section;
}

/** Learning curves: the best trials, a sample of the others, and the trials that the reader has chosen. */
export function curves(study) {
  const lead = "The best trials, a sample of the others, and the trials that you have chosen.";
  const section = newSection(study, "curves", "Learning curves", lead, "Curves");
  section.isEmpty = () => !study.hasResult;
  const figure = newFigure("", "Learning curves");
  section.body.append(figure.element);
  let chosen = [];
  const again = section.drawWhenSeen(["curves"], ({ curves: part }) => figure.show(together([part.figure, ...chosen])));
  askChosen(section, study, (answers) => {
    chosen = curvesOf(answers, study.objective.metric);
    again();
  });
  return section;
}
