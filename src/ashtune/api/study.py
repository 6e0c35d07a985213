"""A study on disk, as its user holds it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TextIO, cast

from ashtune.analysis.counts import BestResult
from ashtune.analysis.loading import StudyReader
from ashtune.api.best import Best, Front, Top, trial_number
from ashtune.api.figures import Figures
from ashtune.core.checks import check_directory, check_whole
from ashtune.core.errors import AshtuneError, StudyError, in_one_line
from ashtune.core.events import WorkerLost
from ashtune.core.jobs import Mode, TrialId
from ashtune.core.ladder import Reduction
from ashtune.core.options import checked
from ashtune.core.plaintext import error_line, shown
from ashtune.driver.options import WhatIfOptions, flat
from ashtune.reports.figures.front import in_a_row
from ashtune.reports.study_info import study_info
from ashtune.space.configspace import space_of_record
from ashtune.space.space import Space
from ashtune.study import objective_file as objectives
from ashtune.study.factory import observed_study
from ashtune.study.journal import read_events

if TYPE_CHECKING:
    import pandas
    from ConfigSpace import ConfigurationSpace
    from plotly.graph_objects import Figure

    from ashtune.analysis.confirm import Confirmed
    from ashtune.analysis.trials import TrialRecord
    from ashtune.api.again import Trained
    from ashtune.api.whatif import WhatIf
    from ashtune.core.confirm import Confirm
    from ashtune.core.observer import Observer
    from ashtune.driver.options import Stop
    from ashtune.engines.options import Local
    from ashtune.engines.protocol import Engine
    from ashtune.reports.profile import Profile
    from ashtune.reports.sections import ReportedStudy
    from ashtune.schedulers.protocol import Scheduler
    from ashtune.simulation.traces import Traces


Given = ParamSpec("Given")


def _draws(
    draw: "Callable[Concatenate[Figures, Given], Figure]",
) -> "Callable[Concatenate[Study, Given], Figure]":
    """Return a figure as a method of the study, with the name, the arguments and the docstring that it has."""

    @wraps(draw)
    def plot(study: "Study", /, *args: Given.args, **kwargs: Given.kwargs) -> "Figure":
        return draw(study._figures, *args, **kwargs)

    return in_one_line(plot)


class Study:
    """What a study found, read from its directory; made by :func:`~ashtune.tune` or :meth:`load`.

    Reading executes nothing of the directory; :meth:`resume`, :meth:`train` and ``study.best.load()`` do.

    Example:
        >>> study = Study.load("runs/digits")  # doctest: +SKIP
        >>> study.is_complete, study.stopped, study.rungs
        (True, '', (1, 4))
        >>> study.best.trial == study.top(1)[0].trial
        True
        >>> sorted({trial.status for trial in study.trials})
        ['paused', 'trained to the top']
        >>> study.plot_timeline().layout.xaxis.title.text
        'seconds that the study ran'
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._reader = StudyReader(directory)
        self._figures = Figures(self._reader)

    @classmethod
    @in_one_line
    def load(cls, directory: str | Path) -> "Study":
        """Return the study kept in a directory, be it done, stopped or running.

        Raises:
            JournalError: If there is none.
            SettingsError: If that is not the name of a folder.
        """
        return cls(check_directory(directory))

    @property
    def metric(self) -> str:
        """The name of the metric that counts; of several the first: see :attr:`objectives`."""
        return self._reader.settings.goal.metric

    @property
    def mode(self) -> Mode:
        """Which way the metric is better: "min" or "max"."""
        return self._reader.settings.goal.mode

    @property
    def objectives(self) -> dict[str, Mode]:
        """The metrics that count, each with which way it is better."""
        return {each.metric: each.mode for each in self._reader.settings.goal.objectives}

    @property
    def unit(self) -> str:
        """What the resource counts, in the singular: the argument ``resource`` of :func:`~ashtune.tune`."""
        return self._reader.settings.resource

    @property
    @in_one_line
    def space(self) -> "ConfigurationSpace":
        """The search space, for other tools that take one of ConfigSpace.

        Raises:
            SettingsError: If ConfigSpace is not installed: ``pip install 'ashtune[configspace]'``.
            SpaceError: If ConfigSpace has no such space.
        """
        return space_of_record(self._reader.settings.space)

    @property
    @in_one_line
    def rungs(self) -> tuple[int, ...]:
        """The resource of each rung, the lowest first, those included that were added above later."""
        return self._reader.ladder.rungs

    @property
    @in_one_line
    def is_complete(self) -> bool:
        """Whether all that the scheduler wanted is trained."""
        return self._reader.outcome.is_complete

    @property
    @in_one_line
    def stopped(self) -> str:
        """Why the study stopped before it was complete; "" if it did not, or still runs."""
        return self._reader.outcome.stopped

    @property
    @in_one_line
    def trials(self) -> "Sequence[TrialRecord]":
        """All trials, by number: configuration and origin, status, rung, resource, metrics, seconds, why it failed."""
        return self._reader.trials

    @property
    @in_one_line
    def best(self) -> Best:
        """The best trial at the highest rung that any trial reached; of a study with ``confirm=`` the named winner.

        Its metrics are those of its first training: :attr:`confirmed` says what its mean is.

        Of several metrics it is the one of the :attr:`front` that the study's weights prefer; without weights the knee.
        One that violates constraints is the best only where all do.

        Raises:
            StudyError: If no trial has a result.
        """
        return self._best(self._reader.tally.best)

    @property
    @in_one_line
    def confirmed(self) -> "Confirmed":
        """The named winner of the configurations that were trained once more, with its mean and an interval for it.

        Raises:
            StudyError: If there is none.
        """
        confirmed = self._reader.tally.confirmed
        if confirmed is None:
            raise StudyError(f"{self.directory} has no confirmed winner; study.resume(confirm=5) confirms the best")
        return confirmed

    @property
    @in_one_line
    def best_at_any_rung(self) -> Best:
        """The best result of all, be it at a lower rung.

        Raises:
            StudyError: If no trial has a result.
        """
        return self._best(self._reader.tally.best_at_any_rung)

    @property
    @in_one_line
    def front(self) -> Front:
        """The results at the highest rung that no other there dominates; with one metric the best alone.

        Of equal results the earliest is there. Results that violate constraints are there only where all do.
        """
        return Front(map(self._best, in_a_row(self._reader.tally.front)), self._reader.settings.goal)

    @in_one_line
    def top(self, count: int) -> Top:
        """Return the best trials, the best first, each by its result at its highest rung.

        Those at a higher rung come first, since they were better before: the order of the report.

        Args:
            count: How many, at most.

        Raises:
            SettingsError: If ``count`` is not a whole number of at least 1.

        Example:
            >>> [best.resource for best in study.top(3)]
            [4, 4, 4]
        """
        check_whole("count", count)
        records = (self.trials[trial] for _, _, trial in self._reader.results.standings()[:count])
        return Top(
            Best(
                record.number,
                record.configuration,
                record.metrics,
                record.rung or 0,
                record.result_resource,
                self.directory,
                record.origin,
            )
            for record in records
        )

    def _best(self, result: BestResult | None) -> Best:
        if result is None:
            raise StudyError(f"no trial of {self.directory} has a result; `ashtune report {self.directory}` says why")
        trials, trial = self._reader.trials, result.trial
        config, origin = trials.configuration(trial), trials.origin(trial)
        return Best(trial, config, result.metrics, result.rung, result.resource, self.directory, origin)

    @in_one_line
    def log(self, trial: int) -> str:
        """Return what a trial printed, from its first epoch to its last; nothing of a stretch that still runs.

        Of a worker that died there is the end only. Fused studies train several trials at a time, so what they print is
        in the study's ``logs`` by worker.

        Args:
            trial: Its number.

        Raises:
            StudyError: If there is no such trial, or a log cannot be read.
        """
        from ashtune.training.printed import read_printed, unmarked_end

        number = self._check_trial(trial)
        try:
            parts = read_printed(self.directory, number)
        except OSError as error:
            raise StudyError(f"{error.filename}: {error.strerror}") from None
        for event in read_events(self._reader.journal, only=(b"worker_lost",)):
            if isinstance(event, WorkerLost) and event.trial == number and event.last_words:
                parts.append(unmarked_end(event.last_words + "\n"))
        return "".join(parts)

    def _check_trial(self, trial: int) -> TrialId:
        """Return the number of a trial that is there.

        Raises:
            StudyError: If it is not.
        """
        number, there = trial_number(trial), len(self.trials)
        if number is None or not 0 <= number < there:
            raise StudyError(f"trial {shown(trial)} is not there; {self.directory} has {there} trials, from 0 on")
        return number

    @in_one_line
    def train(
        self,
        what: Best | int | Mapping[str, Any],
        resource: int,
        *,
        objective: Callable[..., Any] | None = None,
        directory: str | Path | None = None,
    ) -> "Trained":
        """Train a configuration once more, outside of the study and in this process; the study stays as it is.

        This loads the study's training function, which is a pickle, unless another is given: train only from studies
        whose origin you trust.

        Args:
            what: One of the best, the number of a trial, or a configuration. A trial has the same ``trial.seed`` as it
                had in the study.
            resource: How far, from the beginning; or from where ``directory`` left it.
            objective: Another training function, as one that trains on all data; by default the study's.
            directory: Where what is saved goes, to be taken up by the next call; by default it is given back in
                memory only, and files in ``trial.checkpoint_dir`` are lost.

        Returns:
            What it reported last, all it reported, and the model it saved.

        Example:
            >>> study.train(study.best, 16).resource
            16

        Raises:
            AshtuneError: In one line, for whatever cannot be used.
            Exception: What the training function raises.
        """
        from ashtune.api.again import Wanted, function_of, train_again

        check_whole("resource", resource)
        number = trial_number(what)
        if number is None and not isinstance(what, Mapping):
            raise StudyError(f"{shown(what)} is no trial and no configuration; give study.best, a number, or a dict")
        if number is not None:
            configuration = self._reader.trials.configuration(self._check_trial(number))
        else:
            configuration = Space.from_record(self._reader.settings.space).check(cast("Mapping[str, Any]", what))
            number = TrialId(len(self.trials))
        place = None if directory is None else Path(directory)
        function = function_of(self.directory) if objective is None else objective
        top = self._reader.ladder.rungs[-1]
        wanted = Wanted(trial=number, configuration=configuration, resource=resource, max_resource=top)
        return train_again(function, self._reader.settings, wanted, place)

    @in_one_line
    def dataframe(self) -> "pandas.DataFrame":
        """Return a table of all trials: number, status, rung, resource, configuration, metrics, seconds, origin.

        Raises:
            SettingsError: If pandas is not installed.
        """
        return self._reader.trials.dataframe()

    @in_one_line
    def curves_dataframe(self) -> "pandas.DataFrame":
        """Return every report of every trial: trial, resource, metrics.

        Raises:
            SettingsError: If pandas is not installed.
        """
        from ashtune.analysis.trials import curves_dataframe

        return curves_dataframe(self._reader.events())

    @in_one_line
    def report(self, stream: TextIO | None = None) -> None:
        """Print what was found and where the time went: to stdout, or another stream.

        Raises:
            SettingsError: If ``stream`` is no open file.
        """
        from ashtune.reports.report import summary
        from ashtune.reports.terminal.text import show

        show(summary(self._reported, self._reader.tell), sys.stdout if stream is None else stream)

    @in_one_line
    def report_html(self, file: str | Path) -> None:
        """Write the report as one page that needs nothing else: figures, tables and what they say.

        Raises:
            SettingsError: If plotly is not installed, or the file cannot be written.
        """
        from ashtune.reports.page.html import write
        from ashtune.reports.report import report_page

        write(report_page(self._reported, self._reader.tell), Path(file))

    @in_one_line
    def report_data(self) -> dict[str, Any]:
        """Return what :meth:`report` prints as a dict that JSON can hold."""
        from ashtune.reports.report import report_data

        return report_data(self._reported, self._reader.tell)

    @property
    def _reported(self) -> "ReportedStudy":
        """The study as the sections of one report see it."""
        from ashtune.driver.environment import missing_parts  # imports every engine
        from ashtune.reports.sections import ReportedStudy

        return ReportedStudy(self._reader.settings, self._reader.ladder, study_info(self._reader, missing_parts))

    @in_one_line
    def export(self, to: str, out: str | PathLike[str] | None = None) -> str:
        """Copy the study to a tracker or a file; return where the copy is.

        Done again later, as when the study has gone on, it adds what is new, and writes nothing twice.

        Args:
            to: "csv", "mlflow", "optuna", "tensorboard", "trackio", "wandb", or the name that an installed package has
                given to an :class:`~ashtune.observers.Exporter`.
            out: Where to, for another place than the exporter's own. That is in the study's directory, and for Trackio
                its folder on this machine.

        Example:
            >>> study.export("csv").endswith("results.csv")
            True

        Raises:
            ExtraMissing: If the library that it takes is not installed.
            SettingsError: If there is no such exporter.
            StudyError: If the copy cannot be written, or its place in the study's directory is a link.
        """
        from ashtune.driver.observing import exporter_named  # imports every engine

        exporter = exporter_named(to, out)
        try:
            exporter.begin(observed_study(self._reader.settings, self._reader.ladder, self.directory), 0)
            self._reader.tell([exporter])
            exporter.end()
        except AshtuneError:
            raise
        except Exception as error:
            raise StudyError(f"{self.directory} cannot be copied to {to}: {error_line(error)}") from error
        return exporter.place

    plot_best = _draws(Figures.plot_best)
    plot_timeline = _draws(Figures.plot_timeline)
    plot_utilisation = _draws(Figures.plot_utilisation)
    plot_ladder = _draws(Figures.plot_ladder)
    plot_rungs = _draws(Figures.plot_rungs)
    plot_curves = _draws(Figures.plot_curves)
    plot_front = _draws(Figures.plot_front)
    plot_importance = _draws(Figures.plot_importance)
    plot_slice = _draws(Figures.plot_slice)
    plot_contour = _draws(Figures.plot_contour)
    plot_parallel = _draws(Figures.plot_parallel)
    plot_audit = _draws(Figures.plot_audit)
    plot_whatif = _draws(Figures.plot_whatif)
    plot_roofline = _draws(Figures.plot_roofline)
    plot_profile = _draws(Figures.plot_profile)

    @in_one_line
    def profile(self) -> "Profile":
        """Return where the training time went by function, all workers merged, if the study was profiled.

        Raises:
            StudyError: If it was not, or a worker's profile cannot be read.
        """
        from ashtune.reports.profile import read_profile

        return read_profile(self.directory)

    @in_one_line
    def whatif(
        self,
        *,
        workers: int | Sequence[int] | None = None,
        reduction_factor: Reduction | Sequence[Reduction] | None = None,
        scheduler: "str | Scheduler | Sequence[str | Scheduler] | None" = None,
        trials: int | None = None,
        deadline: float | str | None = None,
        budget: float | None = None,
        cores_per_worker: int | None = None,
        draws: int | None = None,
        seed: int = 0,
    ) -> "WhatIf":
        """Return what the study would have taken under other choices: its curves and timings, replayed in virtual time.

        Nothing is trained, and nothing of the directory is executed. Each choice takes some milliseconds a trial and
        draw.

        Args:
            workers: Numbers of workers, 1 to 64 by default.
            reduction_factor: Reduction factors, between the study's lowest rung and its top; its own rungs by default.
            scheduler: Schedulers, as those of ``tune``; its own by default.
            trials: Only the first trials of the study.
            deadline: Seconds, or a time as "2h": asks for the fewest workers that are done by then.
            budget: Core-hours: asks for their best use.
            cores_per_worker: Cores of each worker, for ``budget``; 1 by default.
            draws: Replays that a spread is over, 10 by default.
            seed: Decides which replays are drawn.

        Returns:
            The predictions, and what they rest on.

        Raises:
            SettingsError: If the options do not fit together, or the study.
            StudyError: If no trial was trained.

        Example:
            >>> one, eight = study.whatif(workers=[1, 8], draws=0).predictions
            >>> one.workers, eight.workers, eight.wall_seconds.likely <= one.wall_seconds.likely
            (1, 8, True)
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        from ashtune.api.whatif import what_if

        return what_if(self._reader, checked(WhatIfOptions, given))

    @in_one_line
    def traces(self) -> "Traces":
        """Return what is known of its trials and its timing, for a simulation: :mod:`ashtune.simulation.whatif`.

        Raises:
            StudyError: If no trial was trained.
        """
        from ashtune.simulation.recording import traces_of

        return traces_of(self._reader)

    @in_one_line
    def resume(
        self,
        objective: Callable[..., Any] | None = None,
        *,
        trials: int | None = None,
        max_resource: int | None = None,
        time_limit: float | str | None = None,
        target: float | dict[str, float] | None = None,
        stop: "Stop | None" = None,
        confirm: "int | Confirm | None" = None,
        engine: "str | Engine | Local" = "auto",
        workers: int | None = None,
        observers: "Sequence[Observer | str]" = (),
        watch: bool | Literal["control"] = False,
        quiet: bool = False,
    ) -> "Study":
        """Continue the study.

        This loads the training function and the checkpoints kept in the directory, which are pickles:
        resume only studies whose origin you trust.

        The arguments that are not named here are those of :func:`~ashtune.tune`. When the search ends is as it was for
        the study before, but for what is given.

        Args:
            objective: The training function if it has changed; by default as it was.
            max_resource: Resource of the top rung, if higher than before: there are more rungs above, and the best of
                those that finished at the old top rung go on.

        Returns:
            The study, read again.

        Raises:
            AshtuneError: In one line, for whatever cannot be used.
            NoResultError: If the study ended without a result of any trial; what happened is kept.
            KeyboardInterrupt: After Ctrl-C, when everything is kept.
        """
        given = flat({name: value for name, value in locals().items() if name not in ("self", "objective")})
        from ashtune.api.resuming import resume_study

        resume_study(self._reader, objective, **given)
        return Study.load(self.directory)

    def __repr__(self) -> str:
        return f"Study({str(self.directory)!r})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Show the study at a glance: in a notebook as HTML, at a prompt of IPython as text.

        It reads the journal, once: about a second for 100,000 results.
        """
        from ashtune.reports.glance import glance, glance_html, glance_text
        from ashtune.reports.page.html import escaped
        from ashtune.reports.sections import ReportedStudy

        reader = self._reader
        try:
            study = ReportedStudy(
                reader.settings, reader.ladder, study_info(reader), tally=reader.tally, outcome=reader.outcome
            )
            has_function = (self.directory / objectives.NAME).exists()
            shown = glance(study, can_resume=has_function and not reader.settings.simulated)
            return {"text/plain": glance_text(shown), "text/html": glance_html(shown)}
        except AshtuneError as error:
            line = f"{self!r}: {error}"
            return {"text/plain": line, "text/html": f"<div>{escaped(line)}</div>"}
