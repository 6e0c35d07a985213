// Commands to the driver: pause, stop, more trials, other workers, a configuration to try. It is there only where the
// study was started with --control, on the machine of this page.

import { element, replaceChildren, set, setText } from "../page/dom.js";
import { Section } from "../page/section.js";
import { isNumber, plural, valueText } from "../page/text.js";
import { lineOf, Refusal } from "../study/ask.js";

const MORE_TRIALS = 10;
const NATURE = "This page reads the study's journal; only what you send under Control changes the study.";

export function control(study) {
  const section = new Section("control", "Control", "", "");
  const sender = new Sender(study);
  const enqueuing = new Enqueuing(study, sender);
  section.body.append(
    element("div", { class: "controls" }, pauseButton(study, sender), stopButtons(sender)),
    moreTrials(sender),
    otherWorkers(study, sender),
    enqueuing.element,
    sender.element,
  );
  section.element.hidden = true;
  section.element.classList.remove("blank");
  const nature = document.getElementById("nature");
  const natureBefore = nature.textContent;
  study.on(["head"], ({ head }) => {
    section.element.hidden = !head.control;
    setText(nature, head.control ? NATURE : natureBefore);
  });
  return section;
}

/** Sends one command at a time, and says what came of it. */
class Sender {
  constructor(study) {
    this._study = study;
    this._isBusy = false;
    this._done = element("p", { class: "quiet", role: "status" });
    this._refused = element("p", { class: "bad", role: "alert" });
    this.element = element("div", {}, this._done, this._refused);
  }

  /** Send a command; `done` is what to say if it was taken. Return whether it was. */
  async send(command, done) {
    if (this._isBusy) {
      setText(this._refused, "Not sent: the driver has not answered the last command yet. Try again.");
      return false;
    }
    this._isBusy = true;
    setText(this._done, "Asking the driver …");
    setText(this._refused, "");
    try {
      await post(`api/studies/${this._study.number}/control`, command);
      setText(this._done, done);
      return true;
    } catch (problem) {
      setText(this._done, "");
      setText(this._refused, `Refused: ${lineOf(problem)}`);
      return false;
    } finally {
      this._isBusy = false;
    }
  }
}

/** Send JSON to the server. @throws Refusal With the server's line, or one that says that it cannot be reached. */
async function post(path, body) {
  let answer;
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json", "X-Ashtune": "1" },
      body: JSON.stringify(body),
    });
    answer = await response.json();
  } catch {
    throw new Refusal("no answer from ashtune watch");
  }
  if (answer.error) throw new Refusal(answer.error);
}

function pauseButton(study, sender) {
  const button = element("button", { type: "button", text: "Pause" });
  button.addEventListener("click", () =>
    study.parts.head?.paused
      ? sender.send({ command: "continue" }, "The study goes on.")
      : sender.send({ command: "pause" }, "Paused: no job begins, and what runs is broken off and saved."),
  );
  study.on(["head"], ({ head }) => setText(button, head.paused ? "Continue" : "Pause"));
  return button;
}

/** A button that asks once more before the study is stopped. */
function stopButtons(sender) {
  const stop = element("button", { type: "button", text: "Stop …" });
  const really = element("button", { type: "button", text: "Stop the study" });
  const not = element("button", { type: "button", text: "Do not stop" });
  const question = element("span", { text: "Stop the study? It can be resumed later." });
  const asking = element("span", { class: "choice", role: "group", "aria-label": "Stop the study?", hidden: true });
  asking.append(question, really, not);
  const ask = (isAsked) => {
    [stop.hidden, asking.hidden] = [isAsked, !isAsked];
    (isAsked ? not : stop).focus();
  };
  stop.addEventListener("click", () => ask(true));
  not.addEventListener("click", () => ask(false));
  asking.addEventListener("keydown", (event) => event.key === "Escape" && ask(false));
  really.addEventListener("click", () => {
    ask(false);
    sender.send({ command: "stop" }, "The study stops; ashtune resume goes on with it.");
  });
  return element("span", {}, stop, asking);
}

function moreTrials(sender) {
  const input = numberInput("control-trials", MORE_TRIALS);
  return form("More trials", input, "Add", () => {
    const trials = Number(input.value);
    return sender.send({ command: "extend", trials }, `${plural(trials, "trial")} more may be started.`);
  });
}

function otherWorkers(study, sender) {
  const input = numberInput("control-workers", "");
  let isTyped = false; // once it is, it is the user's, also while it is empty
  input.addEventListener("input", () => {
    isTyped = true;
  });
  study.on(["head"], ({ head }) => {
    if (!isTyped && isNumber(head.workers) && head.workers) input.value = head.workers;
  });
  return form("Workers", input, "Change", () => {
    const workers = Number(input.value);
    return sender.send({ command: "workers", workers }, `${plural(workers, "worker")} from now on, as jobs end.`);
  });
}

/** The form of a configuration that the next new trial is to have. It begins as the best one so far. */
class Enqueuing {
  constructor(study, sender) {
    this._study = study;
    this._sender = sender;
    this._fields = [];
    this._list = element("div", { class: "fields" });
    const fill = element("button", { type: "button", text: "As the best so far" });
    fill.addEventListener("click", () => this._fill());
    const form = element(
      "form",
      { autocomplete: "off" },
      element("p", { class: "quiet", text: "A field that is left empty is a hyperparameter that is not active." }),
      this._list,
      element("div", { class: "choice" }, element("button", { type: "submit", text: "Enqueue" }), fill),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._send();
    });
    this.element = element("details", {}, element("summary", { text: "Try a configuration of your own" }), form);
    this.element.addEventListener("toggle", () => this.element.open && !this._fields.length && this._begin());
  }

  async _begin() {
    const { space } = this._study.parts;
    this._fields = (space?.hyperparameters ?? []).map((each, place) => new Field(each, `control-value-${place}`));
    replaceChildren(
      this._list,
      this._fields.filter((field) => field.element).map((field) => field.element),
    );
    await this._fill();
  }

  /** Fill the fields from the best trial so far. What is typed until its configuration is here stays. */
  async _fill() {
    const before = new Map(this._fields.map((field) => [field, field.value]));
    const best = this._study.parts.head?.best;
    if (!best) return;
    try {
      const { configuration } = await this._study.ask(`trials/${best.trial}`);
      const values = new Map(configuration.map(({ name, value }) => [name, value]));
      for (const field of this._fields) if (field.value === before.get(field)) field.value = values.get(field.name);
    } catch (problem) {
      lineOf(problem); // a refusal leaves the fields as they are
    }
  }

  _send() {
    const given = this._fields.map((field) => [field.name, field.value]).filter(([, value]) => value !== undefined);
    const command = { command: "enqueue", configuration: Object.fromEntries(given) };
    this._sender.send(command, "The next new trial has this configuration.");
  }
}

/** The field of one hyperparameter; its value is undefined where it is empty. A constant has no field. */
class Field {
  constructor({ name, type, low, high, choices }, id) {
    this.name = name;
    this._choices = choices;
    this._kind = type === "float" || type === "integer" ? "number" : choices.length ? "choice" : "text";
    if (type === "constant" && choices.length) {
      this._constant = choices[0];
      return;
    }
    if (this._kind === "choice") {
      const options = choices.map((choice, place) => element("option", { value: place, text: valueText(choice) }));
      this._input = element("select", { id }, element("option", { value: "", text: "" }), options);
    } else {
      this._input = element("input", { id, type: this._kind === "number" ? "number" : "text" });
      if (this._kind === "number") set(this._input, { step: type === "integer" ? 1 : "any", min: low, max: high });
    }
    this.element = element("div", { class: "field" }, element("label", { for: id, text: name }), this._input);
  }

  get value() {
    if (!this._input) return this._constant;
    const text = this._input.value;
    if (text === "") return undefined;
    if (this._kind === "text") return text;
    return this._kind === "choice" ? this._choices[Number(text)] : Number(text);
  }

  set value(value) {
    if (!this._input) return;
    if (this._kind === "choice") {
      const place = this._choices.findIndex((choice) => JSON.stringify(choice) === JSON.stringify(value));
      this._input.value = place < 0 ? "" : place;
    } else this._input.value = value ?? "";
  }
}

/** A field for a whole number of at least 1. */
function numberInput(id, value) {
  return element("input", { id, type: "number", value, min: 1, step: 1, required: true });
}

/** A form of one number and a button. */
function form(title, input, action, submit) {
  const made = element(
    "form",
    { class: "choice", autocomplete: "off" },
    element("label", { for: input.id, text: title }),
    input,
    element("button", { type: "submit", text: action }),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  return made;
}
