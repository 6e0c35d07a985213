// Commands to the driver: pause, stop, more trials, other workers, a configuration to try. Shown only if the study
// was started with --control on this machine.

import { button, byId, element, form, numberField, replaceChildren, setText } from "../page/dom.js";
import { Section } from "../page/section.js";
import { plural, valueText } from "../page/text.js";
import { lineOf, post } from "../study/ask.js";

const MORE_TRIALS = 10;
const NATURE = "This page reads the study's journal; only what you send under Control changes the study.";

export function control(study) {
  const section = new Section("control", "Control", "", "");
  const sender = newSender(study);
  section.body.append(
    element("div.controls", pauseButton(study, sender), stopButtons(sender)),
    moreTrials(sender),
    otherWorkers(study, sender),
    ownConfiguration(study, sender),
    sender.element,
  );
  section.isEmpty = () => !study.parts.head.control;
  section.element.hidden = true; // until the study says that its driver takes commands
  section.element.classList.remove("blank");
  const nature = byId("nature");
  const natureBefore = nature.textContent;
  study.on(["head"], ({ head }) => setText(nature, head.control ? NATURE : natureBefore));
  return section;
}

/** Return a function that sends one command at a time, and the element that shows the result of the command. */
function newSender(study) {
  const done = element("p.quiet", { role: "status" });
  const refused = element("p.bad", { role: "alert" });
  let isBusy = false;
  /** Send a command; `words` are shown if the driver accepts it. */
  const send = async (command, words) => {
    if (isBusy) {
      setText(refused, "Not sent: the driver has not answered the last command yet. Try again.");
      return;
    }
    isBusy = true;
    setText(done, "Asking the driver …");
    setText(refused, "");
    try {
      await post(`api/studies/${study.number}/control`, command);
      setText(done, words);
    } catch (problem) {
      setText(done, "");
      setText(refused, `Refused: ${lineOf(problem)}`);
    } finally {
      isBusy = false;
    }
  };
  return { send, element: element("div.said", done, refused) };
}

function pauseButton(study, sender) {
  const pause = button("Pause", () =>
    study.parts.head?.paused
      ? sender.send({ command: "continue" }, "The study continues.")
      : sender.send({ command: "pause" }, "Paused: no job begins, and running jobs are interrupted and saved."),
  );
  study.on(["head"], ({ head }) => setText(pause, head.paused ? "Continue" : "Pause"));
  return pause;
}

/** A button that asks for confirmation before the study is stopped. */
function stopButtons(sender) {
  const ask = (isAsked) => {
    [stop.hidden, asking.hidden] = [isAsked, !isAsked];
    (isAsked ? not : stop).focus();
  };
  const stop = button("Stop …", () => ask(true));
  const not = button("Do not stop", () => ask(false));
  const really = button("Stop the study", () => {
    ask(false);
    sender.send({ command: "stop" }, "The study stops; ashtune resume continues with it.");
  });
  const onkeydown = (event) => event.key === "Escape" && ask(false);
  const asking = element(
    "span",
    { class: "choice", role: "group", "aria-label": "Stop the study?", hidden: true, onkeydown },
    element("span", "Stop the study? It can be resumed later."),
    really,
    not,
  );
  return element("span", stop, asking);
}

function moreTrials(sender) {
  const { input, fields } = numberField("control-trials", "More trials", { value: MORE_TRIALS, min: 1 });
  return form(fields, "Add", () => {
    const trials = Number(input.value);
    sender.send({ command: "extend", trials }, `${plural(trials, "trial")} more may be started.`);
  });
}

function otherWorkers(study, sender) {
  const { input, fields } = numberField("control-workers", "Workers", { min: 1 });
  let isTyped = false; // from then on the number is the user's, even if empty
  input.addEventListener("input", () => {
    isTyped = true;
  });
  study.on(["head"], ({ head }) => {
    if (!isTyped && head.workers) input.value = head.workers;
  });
  return form(fields, "Change", () => {
    const workers = Number(input.value);
    sender.send({ command: "workers", workers }, `${plural(workers, "worker")} from now on, as jobs end.`);
  });
}

/** The form for the configuration of the next new trial. It starts with the best configuration so far. */
function ownConfiguration(study, sender) {
  const list = element("div.fields");
  /** @type {ReturnType<typeof newField>[]} */
  let fields = [];
  /** Fill the fields from the best trial so far. Text that the user types before its arrival is kept. */
  const fill = async () => {
    const before = new Map(fields.map((field) => [field, field.value()]));
    const best = study.parts.head?.best;
    if (!best) return;
    try {
      const { configuration } = await study.ask(`trials/${best.trial}`);
      const values = new Map(configuration.map(({ name, value }) => [name, value]));
      for (const field of fields) if (field.value() === before.get(field)) field.fill(values.get(field.name));
    } catch (problem) {
      lineOf(problem); // after a refusal the fields stay unchanged
    }
  };
  const begin = () => {
    if (!details.open || fields.length) return;
    fields = study.parts.space.hyperparameters.map((each, place) => newField(each, `control-value-${place}`));
    replaceChildren(list, fields.map((field) => field.element));
    fill();
  };
  const send = () => {
    const given = fields.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined);
    const command = { command: "enqueue", configuration: Object.fromEntries(given) };
    sender.send(command, "The next new trial has this configuration.");
  };
  const details = element(
    "details",
    { ontoggle: begin },
    element("summary", "Try your own configuration"),
    element("p.quiet", "A field that is left empty is a hyperparameter that is not active."),
    form([list], "Enqueue", send),
    button("As the best so far", fill),
  );
  return details;
}

/**
 * Return the field of one hyperparameter, a function for its value (undefined if empty), and a function that fills it.
 * A constant has no field.
 *
 * @param {Hyperparameter} hyperparameter
 */
function newField({ name, type, low, high, choices }, id) {
  if (type === "constant" && choices.length) return { name, element: null, value: () => choices[0], fill: () => {} };
  const isNumber = type === "float" || type === "integer";
  const options = ["", ...choices].map((choice, place) =>
    element("option", { value: place ? place - 1 : "" }, place ? valueText(choice) : ""),
  );
  const input = choices.length
    ? element("select", { id }, options)
    : element("input", {
        id,
        ...(isNumber ? { type: "number", step: type === "integer" ? 1 : "any", min: low, max: high } : {}),
      });
  const read = (text) => (choices.length ? choices[Number(text)] : isNumber ? Number(text) : text);
  const placeOf = (value) => choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
  return {
    name,
    element: element("div.field", element("label", { for: id }, name), input),
    value: () => (input.value === "" ? undefined : read(input.value)),
    fill: (value) => {
      const place = placeOf(value);
      input.value = String((choices.length ? (place < 0 ? "" : place) : value) ?? "");
    },
  };
}
