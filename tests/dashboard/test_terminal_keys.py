"""What the keys and the mouse do on the terminal page, and that it fits small and large terminals."""

import threading

import pytest
from terminal_page import POLL_SECONDS, FixedSource, Seen, on_the_page
from terminal_parts import HOSTILE, all_parts, failures, head, ladder, poisoned, rung, table, trial

from ashtune.dashboard.terminal.arrangement import TALL, VIEWS, WIDE, Arrangement
from ashtune.dashboard.terminal.source import Part, Trials


def source(**changes: object) -> FixedSource:
    return FixedSource(all_parts(**changes), table(400), trial())


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (130, 40), (40, 12)])
def test_every_view_can_be_shown_in_small_and_large_terminals(size: tuple[int, int]) -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("143 of 256 trials")
        for number in range(1, len(VIEWS) + 1):
            await seen.press(f"{number}")
            await seen.pilot.pause()
            assert 3 < len(seen.rows()) <= size[1]

    on_the_page(source(), test, size=size)


def test_80_by_24_answers_the_questions_of_someone_who_looks_for_ten_seconds() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows(
            "running", "143 of 256 trials, 4 min 12 s left", "best accuracy 0.9866", "got better", "97 % busy",
            "3 failed", "ValueError: no such layer", "27", "q Quit",
        )  # fmt: skip

    on_the_page(source(), test)


def test_200_by_60_shows_all_parts_at_once() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows(
            "rungs", "best so far", "learning curves", "workers", "trials", "what failed", "notes", "1 to 1",
            "trial 29 went on to 9 epochs", "best, trial 97", "the last 2 min 00 s",
        )  # fmt: skip

    on_the_page(source(), test, size=(200, 60))


def test_a_high_ladder_and_many_failures_leave_the_workers_their_rows() -> None:
    groups = 9 * failures()["groups"][:1]
    parts = all_parts(ladder=ladder(rungs=[rung(2**n, 100) for n in range(14)]), failures=failures(groups=groups))
    assert Arrangement("all", WIDE, TALL).heights(parts, head=5)["workers"] == 5, "a frame and three rows"


def test_a_number_or_tab_shows_another_view_and_its_keys_stand_in_the_footer() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("143 of 256 trials")
        assert "/ Search" not in seen.text
        await seen.press("6")
        await seen.shows("1 to 16 of 400 trials", "/ Search", "s Sort", "r Reverse")
        await seen.press("tab")
        await seen.shows("▸ 3 x ValueError: no such layer", "Traceback")
        await seen.press("shift+tab", "shift+tab")
        await seen.shows("8 workers, 93 % busy")
        await seen.press("tab", "tab", "tab", "tab")
        await seen.shows("best so far")

    on_the_page(source(), test)


def test_the_table_asks_for_no_more_trials_than_it_shows() -> None:
    given = source()

    async def test(seen: Seen) -> None:
        await seen.press("6")
        await seen.shows("1 to 16 of 400 trials")
        await seen.press("end")
        await seen.shows("385 to 400 of 400 trials")
        await seen.press("home", "pagedown", "pagedown")
        await seen.shows("6 to 21 of 400 trials")

    on_the_page(given, test)
    assert max(question.count for question in given.asked) <= 18


def test_sorting_and_turning_round_ask_for_another_order() -> None:
    given = source()

    async def test(seen: Seen) -> None:
        await seen.press("6")
        await seen.shows("accuracy ▼")
        await seen.press("r")
        await seen.shows("accuracy ▲")
        await seen.press("s")
        await seen.shows("trial ▼")

    on_the_page(given, test)
    orders = [(question.sort, question.is_ascending) for question in given.asked]
    assert list(dict.fromkeys(orders)) == [("value", False), ("value", True), ("number", False)]


def test_what_is_typed_is_searched_for_and_is_no_key() -> None:
    given = source()

    async def test(seen: Seen) -> None:
        await seen.press("6")
        await seen.search("q", "1", "enter")
        await seen.shows("that match “q1”", "Back")
        await seen.press("escape")
        await seen.shows("1 to 16 of 400 trials")

    on_the_page(given, test)
    assert "q1" in [question.search for question in given.asked]
    assert given.asked[-1].search == ""


def test_enter_opens_the_chosen_trial_and_escape_returns() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("6")
        await seen.shows("1 to 16 of 400 trials")
        await seen.press("down", "down", "enter")
        await seen.shows("trial 2", "configuration, and that of the best trial", "rate 0.1 0.02")
        await seen.press("end")
        await seen.shows("what it printed", "checkpoints")
        await seen.press("escape")
        await seen.shows("1 to 16 of 400 trials")

    on_the_page(source(), test)


class LateSource(FixedSource):
    """One whose trials further down come when they are let go."""

    def __init__(self) -> None:
        super().__init__(all_parts(), table(400), trial())
        self.let_go = threading.Event()
        self.opened: list[int] = []

    def trials(self, question: Trials) -> Part:
        if question.offset:
            assert self.let_go.wait(60)
        return super().trials(question)

    def trial(self, number: int) -> Part:
        self.opened.append(number)
        return super().trial(number)


def test_no_other_trial_is_opened_while_the_rows_of_the_chosen_one_are_awaited() -> None:
    given = LateSource()

    async def test(seen: Seen) -> None:
        await seen.press("6")
        await seen.shows("1 to 16 of 400 trials")
        await seen.press("end", "enter")
        await seen.shows("385 to 400 of 400 trials")
        given.let_go.set()
        await seen.shows(" 399 ")
        await seen.press("enter")
        await seen.shows("trial 399", "configuration, and that of the best trial")

    on_the_page(given, test)
    assert set(given.opened) == {399}


def test_enter_opens_the_first_trial_of_the_chosen_failures() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("7")
        await seen.shows("▸ 3 x")
        await seen.press("down")
        await seen.shows("▸ 1 x withdrawn: too large")
        await seen.press("enter")
        await seen.shows("trial 30")

    on_the_page(source(), test)


def test_x_shows_the_best_over_what_was_trained() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("accuracy over minutes")
        await seen.press("x")
        await seen.shows("accuracy over epochs trained by all trials")

    on_the_page(source(), test)


def test_d_turns_dark_into_light() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("143 of 256 trials")
        assert seen.pilot.app.current_theme.dark
        await seen.press("d")
        while seen.pilot.app.current_theme.dark:
            await seen.pilot.pause(POLL_SECONDS)
        await seen.shows("digits", "best so far")

    on_the_page(source(), test)


def test_the_keys_are_explained_and_the_view_before_comes_back() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("5", "?")
        await seen.shows("leave this page; the study goes on")
        await seen.press("?")
        await seen.shows("8 workers, 93 % busy")

    on_the_page(source(), test)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_a_key_leaves_the_page(key: str) -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("143 of 256 trials")
        await seen.press(key)
        await seen.until_it_is_left()

    assert on_the_page(source(), test).return_code == 0


def test_a_click_shows_a_view_and_chooses_and_opens_a_trial() -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("143 of 256 trials")
        await seen.pilot.click("#views", offset=(52, 0))
        await seen.shows("1 to 16 of 400 trials")
        await seen.pilot.click("#trials", offset=(5, 5))
        await seen.pilot.click("#trials", offset=(5, 5))
        await seen.shows("configuration, and that of the best trial")

    on_the_page(source(), test)


def test_hostile_names_are_text_in_every_view_and_press_no_key() -> None:
    given = FixedSource(poisoned(all_parts()), poisoned(table()), poisoned(trial()))

    async def test(seen: Seen) -> None:
        await seen.shows("[b]pwned[/b][@click=app.quit]x[/]")
        for view in range(1, len(VIEWS) + 1):
            await seen.press(f"{view}")
            await seen.pilot.pause()
            assert "\x1b" not in seen.text
            assert "\u202e" not in seen.text
        await seen.press("6")
        await seen.shows("of 40 trials")
        await seen.press("enter")
        await seen.shows("configuration, and that of the best trial")
        assert seen.pilot.app.is_running

    on_the_page(given, test, place=HOSTILE)


def test_a_study_that_is_not_there_yet_is_shown_once_it_is() -> None:
    given = source()
    parts, given.given = given.given, {}

    async def test(seen: Seen) -> None:
        await seen.shows("no study yet", "runs/digits")
        for view in range(1, len(VIEWS) + 1):
            await seen.press(f"{view}")
        await seen.press("enter", "s", "r", "/", "x", "escape", "down", "1")
        given.given = parts
        await seen.shows("143 of 256 trials", "best so far")
        given.given = {}
        await seen.shows("no study yet")

    on_the_page(given, test)


def test_why_a_study_died_is_said_in_full_at_80_columns() -> None:
    words = "the driver, process 4711, has ended before the study was complete; go on with ashtune resume runs/digits"

    async def test(seen: Seen) -> None:
        await seen.shows("✗ died", words)

    on_the_page(source(head=head(state="died", state_text=words)), test)


def test_a_study_without_any_failure_says_so() -> None:
    async def test(seen: Seen) -> None:
        await seen.press("7")
        await seen.shows("nothing failed")

    on_the_page(source(failures=failures(groups=[], total=0)), test)
