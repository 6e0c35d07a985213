// The page of `ashtune watch`: one study with its sections, and the page of one trial at #trial/NUMBER.

import { repaintAll } from "./page/canvas.js";
import { byId, element, fillOptions, replaceChildren, set, setText } from "./page/dom.js";
import { visible } from "./page/text.js";
import { switchThemesBy } from "./page/theme.js";
import { ask, lineOf } from "./study/ask.js";
import { isFruitless } from "./study/answers.js";
import { namesOf } from "./study/names.js";
import { SAVED } from "./study/saved.js";
import { newStudy } from "./study/study.js";
import { answers } from "./views/answers.js";
import { audit } from "./views/audit.js";
import { chosen } from "./views/chosen.js";
import { compare } from "./views/compare.js";
import { contour } from "./views/contour.js";
import { control } from "./views/control.js";
import { failures } from "./views/failures.js";
import { best, curves, front, importance, ladder, workers } from "./views/figures.js";
import { notes } from "./views/notes.js";
import { parallel } from "./views/parallel.js";
import { newSections, report } from "./views/report.js";
import { slices } from "./views/slices.js";
import { tableOfStudies } from "./views/studies.js";
import { summary } from "./views/summary.js";
import { newTrialPage } from "./views/trial.js";
import { trials } from "./views/trials.js";
import { whatif } from "./views/whatif.js";

/** Ordered by importance to the reader. */
const VIEWS = [
  summary, answers, control, ladder, workers, best, front, curves, importance, trials, chosen,
  slices, parallel, contour, failures, audit, whatif, notes, report,
];
const AGAIN = 2000;
/** On such a screen a trial stands in a panel beside its study. As in style.css. */
const WIDE = matchMedia("(min-width: 1200px)");
/** Milliseconds for which the target of a link stays in place while sections above it are drawn. */
const ARRIVAL = 8000;

const page = byId("page");
const connection = byId("connection");
/** The number of the study in the address, or null. */
const asked = new URLSearchParams(location.search).get("study");

/** Ask for the list of studies until the server answers. */
async function listOfStudies() {
  for (;;) {
    try {
      const list = await ask("api/studies");
      setConnection("connected");
      return list;
    } catch (problem) {
      setConnection("lost", { why: lineOf(problem) });
      await new Promise((go) => setTimeout(go, AGAIN));
    }
  }
}

function setConnection(state, { why = "", directory = "DIR", file = "" } = {}) {
  connection.hidden = state === "connected";
  connection.dataset.state = state;
  const texts = {
    connected: "",
    lost: `Connection lost, trying again${why ? ` (${why})` : ""} …`,
    ended: `This page is not live any more: its server has ended. See the study again: ${file && `open ${file}, or `}ashtune watch ${directory}`,
    saved: `Saved while the study ran, on ${SAVED?.at}. See the study live: ashtune watch ${directory}`,
  };
  setText(connection, texts[state]);
}

/** Show the list of a folder's studies, and update it every AGAIN milliseconds. */
async function showFolder(list) {
  const shown = element("div");
  page.replaceChildren(element("h1", { id: "summary", tabindex: -1 }, "Studies"), shown);
  for (;;) {
    replaceChildren(shown, tableOfStudies(list.studies), list.note);
    await new Promise((go) => setTimeout(go, AGAIN));
    list = await listOfStudies();
  }
}

/** Show a choice of the studies if there are several. Return the number of the chosen study. */
function chosenOf(studies, isFolder) {
  const shown = studies.find((each) => each.id === Number(asked)) ?? studies[0];
  const names = namesOf(studies);
  const label = byId("studies");
  const select = /** @type {HTMLSelectElement} */ (label.querySelector("select"));
  const all = isFolder ? [["", "All studies"]] : [];
  fillOptions(select, [...all, ...studies.map(({ id }) => [String(id), names.get(id)])], String(shown.id));
  select.addEventListener("change", () => {
    location.search = select.value && `?study=${encodeURIComponent(select.value)}`;
  });
  label.hidden = studies.length < 2 && !isFolder;
  return shown.id;
}

/** Make the links to the sections, and mark the link of the section that the reader sees. */
function makeNavigation(sections) {
  const links = sections.filter((each) => each.short).map(({ id, short }) => element("a", { href: `#${id}` }, short));
  byId("nav").replaceChildren(...links);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) target.toggleAttribute("data-seen", isIntersecting);
      const current = document.querySelector("[data-seen]");
      for (const link of links) set(link, { "aria-current": link.hash === `#${current?.id}` && "true" });
    },
    { rootMargin: "-30% 0px -60% 0px" },
  );
  for (const each of sections) observer.observe(each.element);
}

/** Hide empty sections and their links. If a study ended without a result, its failures come first. */
function hideEmpty(study, sections) {
  const hide = ({ head }) => {
    for (const each of sections) {
      const hidden = each.isEmpty();
      each.element.hidden = hidden;
      document.querySelector(`#nav [href="#${each.id}"]`)?.toggleAttribute("hidden", hidden);
      // A card with the answer stays, but there is nothing to go to.
      const card = document.querySelector(`.card[data-to="${each.id}"]`);
      if (card) set(card, { href: !hidden && `#${each.id}` });
    }
    if (isFruitless(head)) byId("answers").after(byId("failures"));
  };
  study.on(["head", "space"], hide);
  // The first failure may arrive in a message of its own.
  study.on(["head", "failures"], hide);
}

/**
 * Return a function that scrolls to the target of a hash. The target stays in place while sections above it are drawn,
 * until the reader scrolls.
 */
function arrivals(overview) {
  /** @type {HTMLElement | null} */
  let target = null;
  let timer = 0;
  const stay = () => target?.scrollIntoView();
  const leave = () => {
    target = null;
  };
  new ResizeObserver(stay).observe(overview);
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(kind, leave, { passive: true });
  return (hash) => {
    target = hash === "#summary" ? null : document.getElementById(hash.slice(1));
    clearTimeout(timer);
    timer = setTimeout(leave, ARRIVAL);
    stay();
  };
}

/** Show the target of the address, now and when it changes: a trial, or a section of the study. */
function route(overview, trialPage, study) {
  const arrive = arrivals(overview);
  /** What the reader has left for a trial. */
  let before = "";
  let scroll = 0;
  const go = (from = "") => {
    const trial = /^#trial\/(\d+)$/.exec(location.hash);
    const wasTrial = !trialPage.element.hidden;
    if (trial && !wasTrial) before = from;
    overview.hidden = Boolean(trial) && !WIDE.matches;
    trialPage.element.hidden = !trial;
    study.refresh();
    if (trial) {
      trialPage.show(Number(trial[1]), before || "#");
      if (overview.hidden) scrollTo(0, 0);
    } else if (wasTrial && location.hash === before) scrollTo(0, scroll);
    else arrive(location.hash);
    if (wasTrial) document.getElementById(location.hash.slice(1))?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", (event) => go(new URL(event.oldURL).hash));
  WIDE.addEventListener("change", () => go(before));
  addEventListener("click", ({ target }) => {
    // The link back to the study has no target in the page, so the browser scrolls to the top.
    if (!overview.hidden) scroll = scrollY;
    const link = /** @type {Element} */ (target).closest("a");
    if (link?.hash === location.hash) arrive(link.hash); // no change of the hash follows
  });
  go();
}

switchThemesBy(byId("theme"), repaintAll);
if (SAVED) {
  document.documentElement.dataset.saved = "";
  setText(byId("nature"), `This page was saved on ${SAVED.at} and does not change.`);
}
const list = SAVED?.sections ? { studies: [], version: "" } : await listOfStudies();
const { studies, version, is_folder: isFolder } = list;
setText(byId("version"), `ashtune ${version}`);
if (SAVED?.sections) {
  const sections = newSections("h2");
  document.title = visible(SAVED.title ?? "");
  page.replaceChildren(element("h1", { id: "summary", tabindex: -1 }, SAVED.title), sections.element);
  sections.show(SAVED.sections);
} else if (isFolder && asked === null) {
  showFolder(list);
} else if (studies.length) {
  const study = newStudy(chosenOf(studies, isFolder));
  const sections = VIEWS.map((view) => view(study));
  if (studies.length > 1) sections.push(compare(study, studies));
  const overview = element("div.overview", sections.map((each) => each.element));
  const trialPage = newTrialPage(study);
  page.replaceChildren(overview, trialPage.element);
  makeNavigation(sections);
  hideEmpty(study, sections);
  route(overview, trialPage, study);
  study.follow((state, file) => {
    const isOver = state === "saved" && !study.isRunning;
    setConnection(isOver ? "connected" : state, { directory: study.parts.head?.directory, file });
  });
} else {
  page.replaceChildren(element("p", "No study is watched."));
}
