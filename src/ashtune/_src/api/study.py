"""``Study``: the results of a study, read from the study's directory, with methods for reports and
figures.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from ashtune._src.analysis.confirmed_winner import Confirmed
from ashtune._src.analysis.counts import BestResult
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import TrialRecord, Trials, curves_dataframe
from ashtune._src.api.best import Best, Front, Top, trial_number
from ashtune._src.api.figures import Figures
from ashtune._src.core.checks import check_whole
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import AshtuneError, StudyError, all_in_one_line
from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import Mode, TrialId
from ashtune._src.core.ladder import Reduction
from ashtune._src.core.numbers import plural
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import checked
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.core.words import RESULTS, NoSuchResult
from ashtune._src.driver.study_options import Stop, WhatIfOptions, flat
from ashtune._src.engines.engine_protocol import Engine
from ashtune._src.engines.session_options import Local
from ashtune._src.figures.best_figure import sorted_front
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.space.configspace import space_of_record
from ashtune._src.space.space import Space
from ashtune._src.study.factory import observed_study
from ashtune._src.study.folders import check_directory
from ashtune._src.study.journal import read_events

if TYPE_CHECKING:
    import pandas

    from ashtune._src.api.again import Trained
    from ashtune._src.dashboard.whatif_page import WhatIf
    from ashtune._src.reports.profile import Profile


@all_in_one_line
class Study(Figures):
    """The results of a study, read from its directory. :func:`~ashtune.tune` and :meth:`load`
    return a ``Study``.

    Reading results executes no code from the directory, but :meth:`resume`, :meth:`train` and
    ``study.best.load()`` do. Figures need plotly, and tables need pandas:
    ``pip install 'ashtune[report,pandas]'``. If plotly or pandas is missing, ``SettingsError`` is
    raised.

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

    __module__ = "ashtune"

    def __init__(self, directory: str | Path) -> None:
        self.directory = check_directory(directory)
        super().__init__(StudyReader(self.directory))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.directory,)  # what was read from the journal is read again

    if not TYPE_CHECKING:  # so that a type checker refuses unknown attributes

        def __getattr__(self, name: str) -> Any:
            if name in RESULTS:
                raise NoSuchResult(f"a study has no attribute {name}; write study.{RESULTS[name]}")
            return self.__getattribute__(name)  # which raises the error again

    @classmethod
    def load(cls, directory: str | Path) -> "Study":
        """Return the study in a directory. The study may be finished, stopped or running.

        Raises:
            JournalError: If the directory has no study.
        """
        return cls(directory)

    @property
    def metric(self) -> str:
        """The name of the metric, or of the first metric if there are several (see
        :attr:`objectives`).
        """
        return self._reader.settings.goal.metric

    @property
    def mode(self) -> Mode:
        """Whether smaller ("min") or larger ("max") values of the metric are better."""
        return self._reader.settings.goal.mode

    @property
    def objectives(self) -> dict[str, Mode]:
        """The names of the study's metrics, each with "min" or "max"."""
        return {each.metric: each.mode for each in self._reader.settings.goal.objectives}

    @property
    def unit(self) -> str:
        """The unit of the resource, such as "epoch". The argument ``resource`` of ``tune`` sets the
        unit.
        """
        return self._reader.settings.resource

    @property
    def space(self) -> Mapping[str, Any]:
        """The search space as you wrote it: a dict of ranges, choices, constants, ``When``,
        ``Prior`` and others.

        A range with a step is the list of its numbers, and a tuple among the choices is a list. If
        you wrote a ``ConfigurationSpace``, or a hyperparameter of ConfigSpace, the space is a
        ``ConfigurationSpace``.

        Raises:
            ExtraMissing: If you wrote a space of ConfigSpace, and ConfigSpace is not installed.

        Example:
            >>> study.space
            {'x': (0.0, 1.0)}
        """
        record = self._reader.settings.space
        as_dict = Space.from_record(record).as_written()
        return as_dict if Space.parse(as_dict).to_record() == record else space_of_record(record)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The resource of each rung, lowest first, including rungs that were added later."""
        return self._reader.ladder.rungs

    @property
    def is_complete(self) -> bool:
        """Whether the study is complete: all jobs are done, and the
        scheduler gives no more jobs.
        """
        return self._reader.outcome.is_complete

    @property
    def stopped(self) -> str:
        """Why the study stopped before it was complete, or "" if the study is complete or still
        running.
        """
        return self._reader.outcome.stopped

    @property
    def trials(self) -> "Sequence[TrialRecord]":
        """All trials, ordered by number: configuration, origin, status, rung, resource, metrics,
        seconds, failure.
        """
        return self._reader.trials

    @property
    def best(self) -> Best:
        """The best trial at the highest rung with a result. If ``confirm=`` was given, the
        confirmed winner is best.

        If there are several metrics, the best trial has the smallest weighted loss on the
        :attr:`front`. If the weights are equal, the best trial is the knee of the front. A trial
        that violates constraints is the best only if all trials violate constraints. The
        ``metrics`` of a confirmed winner are from its training during the search.

        Raises:
            StudyError: If no trial has a result.
        """
        return self._best(self._reader.tally.best)

    @property
    def best_params(self) -> dict[str, Any]:
        """The configuration of :attr:`best`, under the name that Optuna and scikit-learn use.

        Raises:
            StudyError: If no trial has a result.
        """
        return self.best.config

    @property
    def best_value(self) -> float | None:
        """The metric of :attr:`best`, under the name that Optuna uses; with several metrics, the
        first one.

        Raises:
            StudyError: If no trial has a result.
        """
        return self.best.metrics[self.metric]

    @property
    def confirmed(self) -> "Confirmed":
        """The best of the configurations that ``confirm=`` trained again, with its mean and a
        confidence interval.

        Raises:
            StudyError: If no winner was confirmed.
        """
        confirmed = self._reader.tally.confirmed
        if confirmed is None:
            raise StudyError(
                f"the study in {self.directory} has no confirmed winner; study.resume(confirm=5) "
                "trains the best 5 again with other seeds"
            )
        return confirmed

    @property
    def best_at_any_rung(self) -> Best:
        """The best of the results at all rungs.

        Raises:
            StudyError: If no trial has a result.
        """
        return self._best(self._reader.tally.best_at_any_rung)

    @property
    def front(self) -> Front:
        """The Pareto front at the highest rung. If there is one metric, the front contains only the
        best trial.
        """
        results = self._reader.tally.front
        if len(results) > 1:
            _ = self._reader.trials  # one reading of the journal for all configurations
        return Front(map(self._best, sorted_front(results)), self._reader.settings.goal)

    def top(self, count: int) -> Top:
        """Return the best trials, at most ``count``. Trials with results at higher rungs come
        first, as in the report.

        Example:
            >>> [best.resource for best in study.top(3)]
            [4, 4, 4]
        """
        check_whole("count", count)
        records = (self.trials[trial] for _, _, trial in self._reader.results.standings()[:count])
        return Top(
            self._at(each.number, each.metrics, each.rung or 0, each.result_resource)
            for each in records
        )

    def _best(self, result: BestResult | None) -> Best:
        if result is None:
            raise StudyError(
                f"no trial of the study in {self.directory} has a result; `ashtune report "
                f"{self.directory}` says why"
            )
        return self._at(result.trial, result.metrics, result.rung, result.resource)

    def _at(self, trial: int, metrics: dict[str, float | None], rung: int, resource: int) -> Best:
        config, origin = self._reader.start_of(TrialId(trial))
        return Best(trial, config, metrics, rung, resource, self.directory, origin)

    def log(self, trial: int) -> str:
        """Return the printed output of a trial's finished jobs. If a worker died, only the output's
        end is left.

        A fused study trains several trials at a time, so the output of each worker is in the
        study's folder ``logs``.

        Raises:
            StudyError: If the trial does not exist, or a log cannot be read.
        """
        from ashtune._src.training.printed import read_printed, unmarked_end

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
        """Return the number of a trial. Raise an error if the trial does not exist."""
        number = trial_number(trial)
        there = len(self.trials)
        if number is None or not 0 <= number < there:
            raise StudyError(
                f"trial {shown(trial)} does not exist; the study in {self.directory} has {there} "
                "trials, numbered from 0"
            )
        return number

    def train(
        self,
        what: Best | int | Mapping[str, Any],
        resource: int,
        *,
        objective: Callable[..., Any] | None = None,
        directory: str | Path | None = None,
    ) -> "Trained":
        """Train a configuration again in this process. The study itself does not change.

        Args:
            what: One of the best trials, the number of a trial, or a configuration. A trial is
                trained with its ``trial.seed`` again.
            resource: The resource at which training ends. Training begins at 0, or at the state in
                ``directory``.
            objective: Another training function, for example one that trains on all data. By
                default the study's own function, which is read from a pickle: train only from
                studies whose origin you trust.
            directory: Folder for the saved state, from which the next call continues. By default
                the model is only returned in memory, and files in ``trial.checkpoint_dir`` are
                lost.

        Example:
            >>> study.train(study.best, 16).resource
            16

        Raises:
            AshtuneError: If an argument is wrong, or the training has no result.
            Exception: The exception of the training function.
        """
        from ashtune._src.api.again import function_of, train_again

        check_whole("resource", resource)
        number = trial_number(what)
        if number is None and not isinstance(what, Mapping):
            raise StudyError(
                f"{shown(what)} is neither a trial nor a configuration; give study.best, a trial's "
                "number, or a dict"
            )
        if number is not None:
            configuration = self._reader.trials.configuration(self._check_trial(number))
        else:
            configuration = Space.from_record(self._reader.settings.space).check(
                cast("Mapping[str, Any]", what)
            )
            number = TrialId(len(self.trials))
        return train_again(
            function_of(self.directory) if objective is None else objective,
            self._reader.settings,
            number,
            configuration,
            resource=resource,
            max_resource=self._reader.ladder.rungs[-1],
            directory=None if directory is None else check_directory(directory),
        )

    def advice(self) -> list[str]:
        """Return advice on what to do next, one sentence each: which range should be wider, with
        the range to write, and which trials to confirm, with the command. The list is empty if the
        study has few results.
        """
        from ashtune._src.analysis.advice import advice_of

        reader = self._reported
        reader.read_for([Tally, Trials])  # in one reading
        return [each.sentence for each in advice_of(reader)]

    def dataframe(self) -> "pandas.DataFrame":
        """Return a table of all trials: number, status, rung, resource, configuration, metrics,
        seconds, origin.
        """
        return self._reader.trials.dataframe()

    def curves_dataframe(self) -> "pandas.DataFrame":
        """Return a table of all reports of all trials: trial, resource, metrics."""
        return curves_dataframe(self._reader.events())

    def report(self, stream: TextIO | None = None, *, importance: bool = True) -> None:
        """Print the study's results, how its time was used, and :meth:`importance`. The default
        stream is stdout.

        Importance is printed last, because computing it takes some seconds. Importance is left out
        if the study has few trials, or if ``importance`` is False.
        """
        from ashtune._src.figures.importance_figure import FEWEST
        from ashtune._src.reports.importance import importance_lines
        from ashtune._src.reports.report import summary
        from ashtune._src.reports.terminal.text import show

        if stream is None:
            stream = sys.stdout
        reader = self._reported
        # Importance needs the results. The results are requested here, so that the same reading of
        # the journal gives the summary and the results.
        show(summary(reader, (Results, Trials)), stream)
        if importance and reader.tally.tried >= FEWEST:
            for line in importance_lines(reader):
                show(line, stream)

    def report_html(self, file: str | Path) -> None:
        """Write the live page of the study, as it is now, to one HTML file that needs no other
        file.

        Raises:
            SettingsError: If the file cannot be written.
        """
        from ashtune._src.dashboard.one_file import write
        from ashtune._src.dashboard.saved import page_of

        write(page_of(self.directory), file)

    def report_data(self) -> dict[str, Any]:
        """Return the content of :meth:`report` as a dict that can be written as JSON."""
        from ashtune._src.reports.report import report_data

        return report_data(self._reported)

    @property
    def _reported(self) -> StudyReader:
        from ashtune._src.driver.environment import missing_parts  # imports every engine

        # A new reader is used, because the study may have continued since ``_reader`` made its
        # analyses.
        reader = StudyReader(self.directory)
        reader.missing_parts = missing_parts(reader)
        return reader

    def export(self, to: str, out: str | PathLike[str] | None = None) -> str:
        """Copy the study to a tracker or a file, or update an existing copy. Return the copy's
        location.

        Args:
            to: "csv", "mlflow", "optuna", "tensorboard", "trackio", "wandb", or the name of an
                :class:`~ashtune.observers.Exporter` in an installed package.
            out: Location of the copy; by default the study's directory, or for Trackio its folder
                on this machine.

        Example:
            >>> study.export("csv").endswith("results.csv")
            True

        Raises:
            ExtraMissing: If the exporter's library is not installed.
            SettingsError: If there is no such exporter.
            StudyError: If the copy cannot be written, or its path in the study's directory is a
                link.
        """
        from ashtune._src.driver.observing import exporter_named  # imports every engine

        exporter = exporter_named(to, out)
        try:
            exporter.begin(
                observed_study(self._reader.settings, self._reader.ladder, self.directory), 0
            )
            self._reader.tell([exporter])
            exporter.end()
        except AshtuneError:
            raise
        except Exception as error:
            raise StudyError(
                f"{self.directory} cannot be copied to {to}: {error_line(error)}"
            ) from error
        return exporter.place

    def profile(self) -> "Profile":
        """Return the training time of each function, summed over all workers of a profiled study.

        Raises:
            StudyError: If the study was not profiled, or a worker's profile cannot be read.
        """
        from ashtune._src.reports.profile import read_profile

        return read_profile(self.directory)

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
        """Predict the study's duration and best result with other choices, by a replay of its
        curves in virtual time.

        The prediction for a choice takes some milliseconds per trial and draw.

        Args:
            workers: Numbers of workers; by default numbers from 1 to 64, and the study's own
                number.
            reduction_factor: Reduction factors for rungs between the study's lowest and top rung;
                by default the study's own rungs.
            scheduler: Schedulers, as for ``tune``; by default the study's own scheduler.
            trials: Number of trials to replay, beginning with the first trial.
            deadline: Seconds, or a time such as "2h": find the fewest workers that finish within
                this time.
            budget: Core-hours: find the best use of these core-hours.
            cores_per_worker: Cores of each worker, used with ``budget``; 1 by default.
            draws: Number of random replays for the spread, 10 by default.
            seed: Seed of the random replays.

        Raises:
            SettingsError: If the options do not fit together, or do not fit the study.
            StudyError: If no trial was trained.

        Example:
            >>> one, eight = study.whatif(workers=[1, 8], draws=0).predictions
            >>> one.workers, eight.workers, eight.wall_seconds.likely <= one.wall_seconds.likely
            (1, 8, True)
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        from ashtune._src.dashboard.whatif_page import what_if

        return what_if(self._reader, checked(WhatIfOptions, given))

    def resume(
        self,
        objective: Callable[..., Any] | None = None,
        *,
        trials: int | None = None,
        max_resource: int | None = None,
        time_limit: float | str | timedelta | None = None,
        target: float | dict[str, float] | None = None,
        stop: "Stop | None" = None,
        confirm: "int | Confirm | None" = None,
        engine: "str | Engine | Local" = "auto",
        workers: int | None = None,
        observers: "Sequence[Observer | str]" = (),
        watch: bool | Literal["control", "keep"] = False,
        quiet: bool = False,
    ) -> "Study":
        """Continue the study, and return the study with its new results.

        Resuming loads pickles from the study's directory, so resume only studies whose origin you
        trust.

        Arguments without a description are the same as for :func:`~ashtune.tune`. The rules that
        end the search do not change, unless new rules are given.

        Args:
            objective: The training function, if it has changed; by default the study's own
                function.
            max_resource: Resource of the top rung, if it is higher than before. Rungs are added
                above the old top rung, and the best trials that have finished at the old top rung
                continue.

        Raises:
            AshtuneError: If an argument is wrong.
            NoResultError: If the study ended without a result of any trial; its files are kept.
            KeyboardInterrupt: After Ctrl-C, once everything is saved.
        """
        if not isinstance(self, Study):
            raise StudyError(
                f"resume() needs a study, not {shown(self)}; write "
                f"ashtune.Study({shown(self)}).resume()"
            )
        given = flat(locals())
        from ashtune._src.api.resuming import resume_study

        resume_study(self._reader, **given)
        return Study.load(self.directory)

    def __repr__(self) -> str:
        return f"Study({str(self.directory)!r})"

    def __str__(self) -> str:
        from ashtune._src.reports.sentences import failures_text

        reader = self._reader
        try:
            outcome = f"{plural(reader.tally.tried, 'trial')}, {reader.outcome.text}"
            parts = [outcome, failures_text(reader.tally, outcome)]
        except AshtuneError as error:
            parts = [str(error)]
        return f"{self!r}: {'; '.join(filter(None, parts))}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Return a summary of the study, as HTML for a notebook and as text
        for an IPython prompt.
        """
        from ashtune._src.reports.html import escaped
        from ashtune._src.reports.report import summary
        from ashtune._src.reports.terminal.text import as_html, as_text

        reader = self._reader
        try:
            study = StudyReader(
                reader.directory,
                settings=reader.settings,
                ladder=reader.ladder,
                tally=reader.tally,
                outcome=reader.outcome,
            )
            shown_study = summary(study)
            return {"text/plain": as_text(shown_study), "text/html": as_html(shown_study)}
        except AshtuneError as error:
            line = f"{self!r}: {error}"
            return {"text/plain": line, "text/html": f"<div>{escaped(line)}</div>"}
