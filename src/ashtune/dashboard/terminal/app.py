"""The page: the parts of a study on the screen, and what the keys do.

Rule: nothing of a study reaches the screen but through the functions that draw parts, so that no name and no value is
taken for markup.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Footer, Input

from ashtune.dashboard.terminal.arrangement import LEFT, RIGHT, VIEWS, Arrangement
from ashtune.dashboard.terminal.best import best_lines
from ashtune.dashboard.terminal.cells import Lines, cut, fitted, line
from ashtune.dashboard.terminal.colours import DARK, LIGHT, Colours
from ashtune.dashboard.terminal.curves import curves_lines
from ashtune.dashboard.terminal.failures import failures_lines
from ashtune.dashboard.terminal.head import head_lines
from ashtune.dashboard.terminal.ladder import ladder_lines
from ashtune.dashboard.terminal.notes import notes_lines
from ashtune.dashboard.terminal.pane import Pane, theme_of
from ashtune.dashboard.terminal.source import UNMADE, News, Part, Source, Trials, Wanted, news
from ashtune.dashboard.terminal.trials import CHROME_ROWS, Query, table_lines, trial_lines
from ashtune.dashboard.terminal.workers import busy_line, workers_lines

POLL_SECONDS = 0.5
_PAGE, _TO_THE_END, _A_TURN = 10, 1 << 40, 3
"""Rows that a key moves by, or a turn of the mouse wheel."""
_SEARCH = "a number, a status, a reason, a value; or rate<0.1, kind=a"
_HELP = (
    ("1 to 8, tab, shift+tab", "show another view"),
    ("up, down, page up, page down", "move in a table or a text; so does the mouse wheel"),
    ("home, end", "move to its beginning or end"),
    ("/", f"search the trials: {_SEARCH}"),
    ("s, r", "sort the trials by something else; turn their order round"),
    ("enter", "open the chosen trial, or the first trial of the chosen failures"),
    ("x", "show the best over time, or over what all trials were trained"),
    ("d", "dark or light"),
    ("escape", "go back; end the search"),
    ("q", "leave this page; the study goes on"),
)


class TerminalPage(App[None]):
    """The page of one study.

    Args:
        source: The study.
        place: Where it is, as the page names it while there is no study.
        colours: Those to begin with.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = ""
    CSS = """
    Screen { background: $background; color: $foreground; }
    Pane { width: 1fr; height: 1fr; text-wrap: nowrap; text-overflow: clip; }
    #head { padding: 0 1; background: $surface; }
    #views { height: 1; padding: 0 1; }
    #message { padding: 1 2; display: none; }
    #body { height: 1fr; layout: vertical; }
    #body Pane { padding: 0 1; border-top: solid $panel; border-title-color: $accent; }
    .column { width: 1fr; height: 1fr; layout: vertical; }
    .wide #body { layout: horizontal; }
    .wide #body Pane { border: round $panel; }
    #search { height: 1; border: none; padding: 0 1; background: $surface; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show('all')", "View", key_display="1-8"),
        *(Binding(f"{number}", f"show({view!r})", show=False) for number, view in enumerate(VIEWS[1:], start=2)),
        Binding("tab", "next_view(1)", show=False, priority=True),
        Binding("shift+tab", "next_view(-1)", show=False, priority=True),
        Binding("slash", "search", "Search", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("enter", "open", "Open"),
        Binding("x", "axis", "Axis"),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", f"move({-_PAGE})", show=False),
        Binding("pagedown", f"move({_PAGE})", show=False),
        Binding("home", f"move({-_TO_THE_END})", show=False),
        Binding("end", f"move({_TO_THE_END})", show=False),
        Binding("escape", "leave", "Back"),
        Binding("d", "dark", "Dark/light"),
        Binding("question_mark", "help", "Keys", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, source: Source, place: str, colours: Colours = DARK) -> None:
        super().__init__()
        self._source = source
        self._place = place
        self._colours = colours
        self._parts: Mapping[str, Part] = {}
        self._trouble = ""
        self._is_asking = self._is_searching = False
        self._view = self._before = "all"
        self._query = Query()
        self._table: Part | None = None
        self._table_offset = 0  # of its first row, which may not be what is wanted by now
        self._trial: Part | None = None
        self._number = 0
        self._refusal = ""
        self._is_over_resource = False
        self._group = 0
        self._skipped = 0
        for each in (LIGHT, DARK):
            self.register_theme(theme_of(each))

    def compose(self) -> ComposeResult:
        """Yield the widgets."""
        yield Pane("head", self._draw_head)
        yield Pane("views", self._draw_views, clicked=self._click_view)
        yield Pane("message", self._draw_message)
        with Container(id="body"):
            for name, parts in (("left", LEFT), ("right", RIGHT)):
                with Container(id=name, classes="column"):
                    for part, title in parts.items():
                        yield Pane(part, partial(self._draw, part), title=title, clicked=partial(self._click, part))
        yield Input(id="search", placeholder=_SEARCH, select_on_focus=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to ask for news."""
        self.theme = self._colours.name
        self._arrange()
        self._poll()
        self.set_interval(POLL_SECONDS, self._poll)

    def on_resize(self) -> None:
        """Find another arrangement."""
        self._arrange()
        self.call_after_refresh(self._poll)

    # What is asked for.

    def _poll(self) -> None:
        if not self._is_asking:
            self._is_asking = True
            self._ask()

    @work
    async def _ask(self) -> None:
        """Ask, in a thread, for what is on the screen; show it; ask again if something else is by then."""
        try:
            while self._is_open:
                wanted = self._wanted()
                said = await asyncio.to_thread(news, self._source, wanted)
                if self._is_open:
                    self._take(said, wanted)
                    if self._wanted() == wanted:
                        return
        finally:
            self._is_asking = False

    @property
    def _is_open(self) -> bool:
        """Whether there is a screen to show something on; none while the page is being closed."""
        return bool(self.query(Pane))

    def _take(self, said: News, wanted: Wanted) -> None:
        """Show what a source said to what was wanted of it."""
        before = self._heights()
        self._parts, self._trouble = said.parts, said.trouble
        if said.trials is not None and wanted.trials is not None:
            self._table, self._table_offset = said.trials, wanted.trials.offset
        self._trial = said.trial or self._trial
        self._refusal = said.refusal
        if self._heights() != before:
            self._arrange()
        self._redraw()

    def _wanted(self) -> Wanted:
        trials = None
        if "trials" in self._arrangement.shown and self._parts:
            query, mode = self._query, self._parts["head"]["objectives"][0]["mode"]
            trials = Trials(query.search, query.sort, query.is_sorted_upwards(mode), query.offset, self._room)
        return Wanted(trials, self._number if self._view == "trial" else None)

    @property
    def _room(self) -> int:
        """How many trials the table has room for."""
        height: int = self.query_one("#trials").size.height
        return max(1, height - CHROME_ROWS)

    # What is arranged.

    @property
    def _arrangement(self) -> Arrangement:
        return Arrangement(self._view, *self.size)

    def _heights(self) -> dict[str, int | str]:
        """Return the heights of the parts on the screen; of none while there is no study."""
        if not self._parts:
            return {}
        head = len(self._draw_head(self.size.width - 2, 0))
        return self._arrangement.heights(self._parts, head)

    def _arrange(self) -> None:
        """Put the parts that are to be shown on the screen."""
        heights, shows_all = self._heights(), self._arrangement.shows_all
        self.query_one("#head").styles.height = heights.pop("head", 1)
        self.screen.set_class(shows_all, "wide")
        self.query_one("#message").display = not heights
        self.query_one("#body").display = bool(heights)
        for name, parts in (("left", LEFT), ("right", RIGHT)):
            column = self.query_one(f"#{name}")
            column.display = not heights.keys().isdisjoint(parts)
            is_beside = shows_all or "ladder" not in heights or len(heights) == 1
            column.styles.height = "1fr" if is_beside or name == "right" else heights["ladder"]
            for part in parts:
                pane = self.query_one(f"#{part}")
                pane.display = part in heights
                pane.styles.height = heights.get(part, "1fr")

    def _redraw(self) -> None:
        """Draw what is on the screen anew."""
        for pane in self.query(Pane):
            if pane.display:
                pane.refresh()

    # What is drawn.

    def _draw_head(self, width: int, height: int) -> Lines:
        if not self._parts:
            return [line((fitted(self._place, width), f"bold {self._colours.ink}"))]
        return head_lines(self._parts["head"], width, self._colours)

    def _draw_views(self, width: int, height: int) -> Lines:
        words, colours = line(), self._colours
        for number, view in enumerate(VIEWS, start=1):
            style = f"bold {colours.paper} on {colours.accent}" if view == self._view else colours.quiet
            words.append(_label(number, view), style)
        return [cut(words, width)]

    def _draw_message(self, width: int, height: int) -> Lines:
        colours = self._colours
        return [
            line((fitted(self._trouble or "the study is being read", width), colours.ink)),
            line((fitted("this page shows it as soon as there is something to show", width), colours.quiet)),
        ]

    def _draw(self, part: str, width: int, height: int) -> Lines:
        if not self._parts:
            return []
        asked = ("workers", "failures") if part == "glance" else (part,)
        if any(UNMADE in self._parts.get(each, {}) for each in asked):
            return [line((fitted("this part of the study could not be made", width), self._colours.warning))]
        return self._draw_made(part, width, height)

    def _draw_made(self, part: str, width: int, height: int) -> Lines:
        parts, colours = self._parts, self._colours
        head, ladder = parts["head"], parts["ladder"]
        lines: Lines = []
        match part:
            case "ladder":
                lines = ladder_lines(ladder, head["unit"], width, height, colours)
            case "best":
                over, rungs = self._is_over_resource, len(ladder["rungs"])
                lines = best_lines(parts["best"], head, width, height, colours, is_over_resource=over, rungs=rungs)
            case "curves":
                lines = curves_lines(parts["curves"], head, width, height, colours)
            case "workers":
                first = self._skipped if self._view == part else 0
                lines = workers_lines(parts["workers"], ladder, width, height, colours, unit=head["unit"], first=first)
            case "trials" if self._table is not None:
                lines = table_lines(self._table, head, width, height, colours, query=self._query, refusal=self._refusal)
            case "failures":
                chosen = self._group if self._view == part else None
                lines = failures_lines(parts["failures"], width, height, colours, chosen=chosen)
            case "notes":
                skipped = self._skipped if self._view == part else 0
                lines = notes_lines(parts["notes"], width, height, colours, skipped=skipped)
            case "glance":
                lines = [busy_line(parts["workers"], width, colours)]
                lines += failures_lines(parts["failures"], width, 1, colours)
            case "trial" if self._refusal:
                lines = [line((fitted(self._refusal, width), colours.warning))]
            case "trial" if self._trial is not None:
                lines = trial_lines(self._trial, head, width, colours)[self._skipped :]
            case "help":
                lines = [line((f"{keys:<30} ", f"bold {colours.ink}"), (what, colours.quiet)) for keys, what in _HELP]
        return lines

    # What the keys do.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does anything in this view: only then the footer names it."""
        shown = self._arrangement.shown
        match action:
            case "search" | "sort" | "reverse":
                return "trials" in shown
            case "open":
                return "trials" in shown or self._view == "failures"
            case "axis":
                return "best" in shown
            case "leave":
                return self._view in ("trial", "help") or self._is_searching or bool(self._query.search)
            case _:
                return True

    def action_show(self, view: str) -> None:
        """Show a view."""
        self._end_search()
        self._view, self._skipped = view, 0
        self._arrange()
        self._redraw()
        self.call_after_refresh(self._poll)  # by then the table has its size

    def action_next_view(self, step: int) -> None:
        """Show the next view, or the one before."""
        place = VIEWS.index(self._view) if self._view in VIEWS else 0
        self.action_show(VIEWS[(place + step) % len(VIEWS)])

    def action_move(self, step: int) -> None:
        """Choose another row, or scroll."""
        if not self._parts:
            return
        if "trials" in self._arrangement.shown and self._table is not None:
            self._query.move(step, matching=self._table["matching"], room=self._room)
            self._poll()
        elif self._view == "failures":
            self._group = min(max(0, self._group + step), max(0, len(self._parts["failures"]["groups"]) - 1))
        else:
            self._skipped = min(max(0, self._skipped + step), self._most_skipped())
        self._redraw()

    def _most_skipped(self) -> int:
        """Return how far the view can be scrolled, in rows."""
        match self._view:
            case "workers":
                return max(0, len(self._parts["workers"]["lanes"]) - 1)
            case "notes":
                return max(0, len(self._parts["notes"]["why"]) - 1)
            case "trial" if self._trial is not None:
                width, height = self.query_one("#trial").size
                lines = trial_lines(self._trial, self._parts["head"], width, self._colours)
                return max(0, len(lines) - int(height))
            case _:
                return 0

    def action_search(self) -> None:
        """Begin a search for trials."""
        self._is_searching = True
        field = self.query_one("#search", Input)
        field.display = True
        field.focus()
        self.refresh_bindings()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search for what is typed so far."""
        self._query.search = event.value
        self._query.to_the_top()
        self._poll()

    def on_input_submitted(self) -> None:
        """Leave the field; what was searched for stays."""
        self._end_search()

    def _end_search(self) -> None:
        self._is_searching = False
        self.set_focus(None)
        self.query_one("#search").display = False
        self.refresh_bindings()

    def action_sort(self) -> None:
        """Sort the trials by the next column."""
        self._query.sort_by_the_next(self._table["columns"] if self._table is not None else ())
        self._poll()
        self._redraw()

    def action_reverse(self) -> None:
        """Turn the order of the trials round."""
        if self._parts:
            mode = self._parts["head"]["objectives"][0]["mode"]
            self._query.reverse(is_ascending_now=self._query.is_sorted_upwards(mode))
            self._poll()
            self._redraw()

    def action_open(self) -> None:
        """Open the chosen trial, or the first of the chosen failures."""
        number = self._chosen_trial()
        if number is not None:
            self._number, self._trial, self._before = number, None, self._view
            self.action_show("trial")

    def _chosen_trial(self) -> int | None:
        rows = self._table["rows"] if self._table is not None else []
        place = self._query.chosen - self._table_offset
        if self._view == "failures":
            rows, place = self._parts["failures"]["groups"] if self._parts else [], self._group
        return rows[place]["trial"] if 0 <= place < len(rows) else None

    def action_axis(self) -> None:
        """Show the best over time, or over resource."""
        self._is_over_resource = not self._is_over_resource
        self._redraw()

    def action_dark(self) -> None:
        """Turn dark into light, and light into dark."""
        self._colours = LIGHT if self._colours.is_dark else DARK
        self.theme = self._colours.name
        self._redraw()

    def action_help(self) -> None:
        """Show what the keys do, or again what was there before."""
        if self._view == "help":
            self.action_show(self._before)
        else:
            self._before = self._view if self._view in VIEWS else "all"
            self.action_show("help")

    def action_leave(self) -> None:
        """End the search, or show again what was there before."""
        if self._view in ("trial", "help"):
            self.action_show(self._before)
        else:
            self.query_one("#search", Input).value = ""
            self._end_search()

    # What the mouse does.

    def on_mouse_scroll_down(self) -> None:
        """Move on."""
        self.action_move(_A_TURN)

    def on_mouse_scroll_up(self) -> None:
        """Move back."""
        self.action_move(-_A_TURN)

    def _click_view(self, column: int, row: int) -> None:
        end = 0
        for number, view in enumerate(VIEWS, start=1):
            end += len(_label(number, view))
            if column < end:
                self.action_show(view)
                return

    def _click(self, part: str, column: int, row: int) -> None:
        """Choose a trial; one that is chosen already is opened."""
        if part != "trials" or self._table is None or not 1 <= row <= len(self._table["rows"]):
            return
        is_chosen = self._query.chosen == self._query.offset + row - 1
        self._query.chosen = self._query.offset + row - 1
        if is_chosen:
            self.action_open()
        self._redraw()


def _label(number: int, view: str) -> str:
    """Return a view as the line of all views names it."""
    return f" {number} {view} "
