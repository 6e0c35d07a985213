"""The report page of a study: one file that says what was found, where the time went and whether halving did right."""

import time
from typing import TYPE_CHECKING

import msgspec

from ashtune.analysis.audit import Audit
from ashtune.analysis.curves import Curves
from ashtune.analysis.loading import Outcome
from ashtune.analysis.tally import Tally
from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import rung_times, time_shares
from ashtune.analysis.trials import Trials
from ashtune.core.errors import SettingsError
from ashtune.core.ladder import Ladder
from ashtune.core.numbers import number_text, plural, seconds_text, share_text, value_text
from ashtune.core.observer import Observer
from ashtune.core.version import __version__
from ashtune.reports.audit_view import audit_figure, audit_findings, audit_table
from ashtune.reports.figures.coordinates import coordinates_figure
from ashtune.reports.figures.curves import curves_figure
from ashtune.reports.figures.importance import importance, importance_figure
from ashtune.reports.figures.progress import BestSoFar, best_over_epochs_figure, best_over_time_figure
from ashtune.reports.figures.rungs import rungs_figure
from ashtune.reports.figures.slices import Slices
from ashtune.reports.figures.timeline import timeline_figure
from ashtune.reports.figures.utilisation import utilisation_figure
from ashtune.reports.page import html
from ashtune.reports.profile import Profile, profile_figure, profile_table, profile_words
from ashtune.reports.roofline import Placed, roofline_figures, roofline_words
from ashtune.reports.rungs import rung_records, rung_table, time_line
from ashtune.reports.study_info import About
from ashtune.reports.timeline_view import rung_times_table, time_findings, time_shares_table
from ashtune.schedulers.view import SchedulerView
from ashtune.study.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

BEST_SHOWN = 15


class PageObservers:
    """Everything that a page needs of a study's events, taken in at one go.

    Args:
        settings: What the study is.
        ladder: Its rungs.
        scheduler: What is known of its scheduler.
    """

    def __init__(self, settings: Settings, ladder: Ladder, scheduler: SchedulerView) -> None:
        self.tally = Tally(ladder, settings.goal)
        self.trials = Trials(ladder)
        self.timeline = Timeline(ladder)
        self.audit = Audit(ladder, settings.goal, scheduler)
        self.best = BestSoFar(settings.goal)
        self.curves = Curves(settings.goal)

    @property
    def all(self) -> list[Observer]:
        """All of them."""
        return [self.tally, self.trials, self.timeline, self.audit, self.best, self.curves]


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is made of.

    ``profile`` and ``placed`` (a training step under the machine's roofs) are None where there is none.
    """

    settings: Settings
    observers: PageObservers
    about: About
    outcome: Outcome
    profile: Profile | None = None
    placed: Placed | None = None


def report_page(made_of: Material) -> str:
    """Return the page as HTML.

    Raises:
        SettingsError: If plotly is not installed.
    """
    observers, about = made_of.observers, made_of.about
    sections = [
        html.Section("best", "What was found", _best(made_of)),
        html.Section("progress", "Best so far", _progress(made_of)),
        html.Section("rungs", "Time by rung", _rungs(made_of)),
        html.Section("timeline", "Timeline", _timeline(observers.timeline, about.unit)),
        html.Section("curves", "Learning curves", _curves(made_of)),
        html.Section("hyperparameters", "Hyperparameters", _hyperparameters(made_of)),
        html.Section("audit", "Did the halving do right?", _audit(made_of)),
        html.Section("roofline", "Roofline", _roofline(made_of)),
        html.Section("profile", "Profile", _profile(made_of)),
        html.Section("trouble", "What went wrong", _trouble(observers.tally, made_of.outcome, about.missing)),
        html.Section("facts", "The run", [html.pairs(_facts(made_of))]),
    ]
    footer = f"Made by ashtune {__version__} from {about.directory}/journal.jsonl"
    return html.page(
        f"{about.name}: {plural(made_of.observers.tally.tried, 'trial')}, {made_of.outcome.text}",
        [_cards(made_of)],
        sections,
        footer=footer,
    )


def _cards(made_of: Material) -> html.Block:
    tally, unit = made_of.observers.tally, made_of.about.unit
    best, goal = tally.best, made_of.settings.goal
    full = tally.tried * tally.ladder.rungs[-1]
    shares = time_shares(made_of.observers.timeline)
    named = {
        f"best {goal.metric}": number_text(best.metrics.get(goal.metric), 5) if best else "none",
        "trials": f"{tally.tried:,}",
        f"{unit}s trained": f"{tally.epochs:,}",
        f"fewer {unit}s than training all to the top": f"{full / tally.epochs:.1f} x" if tally.epochs else "-",
        "wall time": seconds_text(tally.wall_seconds),
        "workers' time spent training": share_text(shares.utilisation) if shares.presence > 0 else "-",
    }
    return html.cards(named)


def _best(made_of: Material) -> list[html.Block]:
    tally, trials, about = made_of.observers.tally, made_of.observers.trials, made_of.about
    best, anywhere, metric = tally.best, tally.best_at_any_rung, made_of.settings.goal.metric
    if best is None:
        return [html.words("No trial has a result.", style="bad")]
    top = "the top rung" if best.rung == tally.ladder.top else "the highest rung reached"
    sentences = [
        f"Best at {top}: {metric} = {number_text(best.metrics.get(metric), 6)} at {about.unit} {best.resource:,}, "
        f"trial {best.trial}."
    ]
    if anywhere is not None and anywhere.loss < best.loss:
        sentences.append(
            f"Best at any rung: {number_text(anywhere.metrics.get(metric), 6)} at {about.unit} "
            f"{anywhere.resource:,}, trial {anywhere.trial}."
        )
    configuration = {name: value_text(value) for name, value in trials.configuration(best.trial).items()}
    return [html.words(*sentences), html.pairs(configuration), html.table(_best_trials(made_of))]


def _best_trials(made_of: Material) -> "Table":
    """Return the trials that came farthest, the best first."""
    from rich.table import Table
    from rich.text import Text

    trials, metric = made_of.observers.trials, made_of.settings.goal.metric
    standing = made_of.observers.curves.results.standings()[:BEST_SHOWN]
    records = [trials[trial] for _, _, trial in standing]
    names = list(dict.fromkeys(name for record in records for name in record.configuration))
    table = Table()
    for name in ("trial", metric, made_of.about.unit, "seconds", *names):
        table.add_column(Text(name))
    for record in records:
        values = [value_text(record.configuration.get(name, "")) for name in names]
        cells = [number_text(record.metrics.get(metric), 5), f"{record.resource:,}", f"{record.seconds:.2f}", *values]
        table.add_row(str(record.number), *map(Text, cells))
    return table


def _progress(made_of: Material) -> list[html.Block]:
    best, unit = made_of.observers.best, made_of.about.unit
    over_time, over_epochs = best_over_time_figure(best, unit=unit), best_over_epochs_figure(best, unit=unit)
    return [html.figures(best_over_time=over_time, best_over_epochs=over_epochs)]


def _rungs(made_of: Material) -> list[html.Block]:
    tally, about = made_of.observers.tally, made_of.about
    timeline = made_of.observers.timeline
    records = rung_records(tally, about.expected(tally.most_trials), rung_times(timeline))
    return [
        html.words(f"{time_line(tally, time_shares(timeline), unit=about.unit)}."),
        html.figures(rungs=rungs_figure(timeline, unit=about.unit)),
        html.table(rung_table(records, unit=about.unit)),
        html.table(rung_times_table(timeline, unit=about.unit)),
    ]


def _timeline(timeline: Timeline, unit: str) -> list[html.Block]:
    return [
        html.figures(timeline=timeline_figure(timeline, unit=unit)),
        html.figures(utilisation=utilisation_figure(timeline)),
        html.table(time_shares_table(timeline)),
        html.words(*(f"{sentence[0].upper()}{sentence[1:]}." for sentence in time_findings(timeline))),
    ]


def _curves(made_of: Material) -> list[html.Block]:
    curves, rungs = made_of.observers.curves, made_of.observers.tally.ladder.rungs
    figure = curves_figure(curves, rungs=len(rungs), unit=made_of.about.unit)
    if figure.layout.xaxis.type == "log":
        figure.update_xaxes(tickvals=list(rungs))
    return [html.figures(curves=figure)]


def _hyperparameters(made_of: Material) -> list[html.Block]:
    observers, unit = made_of.observers, made_of.about.unit
    of = (observers.curves.results, observers.trials.configuration, made_of.settings.space)
    names: list[str] = []
    try:
        measured = importance(*of)
    except SettingsError as error:
        first = html.words(f"Importance is left out: {error}.", style="quiet")
    else:
        first = html.figures(importance=importance_figure(measured, unit=unit))
        names = [weight.name for weight in measured.weights]
    slices = Slices(*of, important=names, rungs=len(observers.tally.ladder.rungs), unit=unit)
    return [
        first,
        html.legend(slices.colors()),
        html.figures(layout="panels", **slices.figures()),
        html.words(*slices.words(), style="quiet"),
        html.figures(coordinates=coordinates_figure(*of, important=names, unit=unit)),
    ]


def _audit(made_of: Material) -> list[html.Block]:
    audit, tally, about = made_of.observers.audit, made_of.observers.tally, made_of.about
    expected = about.expected(tally.most_trials)
    return [
        html.figures(audit=audit_figure(audit, expected, unit=about.unit)),
        html.table(audit_table(audit, expected, unit=about.unit)),
        html.words(*audit_findings(audit, unit=about.unit)),
    ]


def _roofline(made_of: Material) -> list[html.Block]:
    if made_of.placed is None:
        return _missing(made_of, f"Not measured; `ashtune roofline --keep {made_of.about.directory}` adds it.")
    return [html.figures(**roofline_figures(made_of.placed)), html.words(*roofline_words(made_of.placed))]


def _profile(made_of: Material) -> list[html.Block]:
    profile = made_of.profile
    if profile is None:
        return _missing(made_of, "Not profiled; `ashtune run --profile ...` or `ashtune resume --profile` adds it.")
    return [
        html.figures(profile=profile_figure(profile)),
        html.table(profile_table(profile)),
        html.words(*profile_words(profile)),
    ]


def _missing(made_of: Material, remark: str) -> list[html.Block]:
    return [html.words("This study was simulated." if made_of.about.is_simulated else remark, style="quiet")]


def _trouble(tally: Tally, outcome: Outcome, missing: str) -> list[html.Block]:
    blocks: list[html.Block] = []
    for reasons, what in (
        (tally.failures, "trials failed"),
        (tally.withdrawals, "trials were withdrawn"),
        (tally.lost_workers, "workers were lost"),
    ):
        if reasons.total:
            lines = [f"{group.count:,} x {group.reason}" for group in reasons.groups()]
            blocks.append(html.words(f"{reasons.total:,} {what}:", *lines))
    notes = [*outcome.notes_with(tally), *([missing] if missing else [])]
    return [*blocks, html.words(*notes)] if notes else blocks


def _facts(made_of: Material) -> dict[str, str]:
    settings, tally = made_of.settings, made_of.observers.tally
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(settings.created))
    named = {
        "directory": made_of.about.directory,
        "began": began,
        "scheduler": made_of.about.scheduler.name,
        "rungs": ", ".join(f"{resource:,}" for resource in tally.ladder.rungs),
        "search": str(settings.search.get("kind")),
        "seed": str(settings.seed),
        "metric": f"{settings.goal.metric} ({settings.goal.mode})",
        "written by": f"ashtune {settings.ashtune}",
    }
    session = tally.session
    if session is not None:
        named |= {"sessions": plural(tally.sessions, "session"), "host": session.host, **session.facts}
    return named
