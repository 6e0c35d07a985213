// Commands to the driver: pause, stop, more trials, other workers, a configuration to try. Shown only if the study
// was started with --control on this machine.

import { button, byId, element, form, numberForm, replaceChildren, set, setText } from "../page/dom.js";
import { newSection } from "../page/section.js";
import { plural, valueText } from "../page/text.js";
import { lineOf, post } from "../study/ask.js";

const MORE_TRIALS = 10;
const NATURE = "This page reads the study's journal; only what you send under Control changes the study.";

export function control(study) {
  const section = newSection(study, "control", "Control", "", "");
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
  const really = button("Stop the study", () => {
    asking.hidePopover();
    sender.send({ command: "stop" }, "The study stops; ashtune resume continues with it.");
  });
  const not = button("Do not stop", () => asking.hidePopover());
  const asking = element(
    "div.asking",
    { popover: true, role: "group", "aria-label": "Stop the study?" },
    element("p", "Stop the study? It can be resumed later."),
    element("p.choice", really, not),
  );
  const ask = () => {
    asking.showPopover();
    not.focus();
  };
  return [button("Stop …", ask), asking];
}

function moreTrials(sender) {
  return numberForm("control-trials", "More trials", { value: MORE_TRIALS, min: 1 }, "Add", (trials) =>
    sender.send({ command: "extend", trials }, `${plural(trials, "trial")} more may be started.`),
  ).element;
}

function otherWorkers(study, sender) {
  const chooser = numberForm("control-workers", "Workers", { min: 1 }, "Change", (workers) =>
    sender.send({ command: "workers", workers }, `The study changes to ${plural(workers, "worker")} as jobs end.`),
  );
  // The browser shows the attribute until the user types.
  study.on(["head"], ({ head }) => set(chooser.input, { value: head.workers || null }));
  return chooser.element;
}

/** The form for the configuration of the next new trial. It starts with the best configuration so far. */
function ownConfiguration(study, sender) {
  const list = element("div.fields");
  /** @type {ReturnType<typeof newField>[]} */
  let fields = [];
  /** Fill the fields from the best trial so far. Text that the user types before its arrival is kept. */
  const fill = async () => {
    const before = fields.map(({ input }) => input.value);
    const { best } = study.parts.head;
    if (!best) return;
    try {
      const { configuration } = await study.ask(`trials/${best.trial}`);
      const values = new Map(configuration.map(({ name, value }) => [name, value]));
      fields.forEach(({ name, input, toText }, place) => {
        if (input.value === before[place]) input.value = toText(values.get(name)) ?? "";
      });
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
    const given = fields.filter(({ input }) => input.value !== "");
    const configuration = Object.fromEntries(given.map(({ name, input, toValue }) => [name, toValue(input.value)]));
    sender.send({ command: "enqueue", configuration }, "The next new trial has this configuration.");
  };
  const details = element(
    "details",
    { ontoggle: begin },
    element("summary", "Try your own configuration"),
    element("p.quiet", "Leave a field empty if its hyperparameter is not active."),
    form([list], "Enqueue", send),
    button("Fill in the best so far", fill),
  );
  return details;
}

/**
 * Return the field of one hyperparameter: its input, and functions that convert the input's text to a value and back.
 * The text of a choice is JSON. The field of a constant is hidden.
 *
 * @param {Hyperparameter} hyperparameter
 */
function newField({ name, type, low, high, choices }, id) {
  const label = element("label", { for: id }, name);
  if (choices.length) {
    const isConstant = type === "constant";
    const options = choices.map((choice) => element("option", { value: JSON.stringify(choice) }, valueText(choice)));
    const input = element("select", { id }, !isConstant && element("option", { value: "" }), options);
    const toText = (value) => JSON.stringify(isConstant ? choices[0] : value);
    return { name, input, element: element("div.field", { hidden: isConstant }, label, input), toValue: JSON.parse, toText };
  }
  const isNumber = type === "float" || type === "integer";
  const numbers = { type: "number", step: type === "integer" ? 1 : "any", min: low, max: high };
  const input = element("input", { id, ...(isNumber && numbers) });
  const toText = (value) => value;
  return { name, input, element: element("div.field", label, input), toValue: isNumber ? Number : String, toText };
}
