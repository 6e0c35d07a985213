"""The widget that shows lines, and the themes."""

from collections.abc import Callable

from rich.text import Text
from textual import events
from textual.theme import Theme
from textual.widget import Widget

from ashtune.dashboard.terminal.cells import Lines
from ashtune.dashboard.terminal.colours import Colours


class Pane(Widget):
    """Lines on the screen.

    Args:
        name: The widget's.
        draw: Gives its lines for a width and a height.
        title: Ours, never a text of a study: it may be markup.
        clicked: Is told the column and the row of a click.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[[int, int], Lines],
        *,
        title: str = "",
        clicked: Callable[[int, int], None] = lambda column, row: None,
    ) -> None:
        super().__init__(id=name)
        self._draw = draw
        self._clicked = clicked
        self.border_title = title or None

    def render(self) -> Text:
        """Return the lines as one text."""
        width, height = self.size
        lines = self._draw(width, height)[:height] if width > 0 and height > 0 else []
        return Text("\n", no_wrap=True, end="").join(lines)

    def on_click(self, event: events.Click) -> None:
        """Tell where."""
        if (place := event.get_content_offset(self)) is not None:
            self._clicked(place.x, place.y)


def theme_of(colours: Colours) -> Theme:
    """Return the theme of Textual with these colours."""
    return Theme(
        name=colours.name,
        primary=colours.accent,
        secondary=colours.accent,
        accent=colours.accent,
        warning=colours.warning,
        error=colours.bad,
        success=colours.good,
        foreground=colours.ink,
        background=colours.paper,
        surface=colours.raised,
        panel=colours.line,
        dark=colours.is_dark,
    )
