"""The lines of a widget as it last drew them, kept until it says which have changed.

Textual's own cache asks for every widget of every frame which colours, opacity, borders and filters its ancestors give
it, which takes longer than the drawing does. Ours have none of these: what they draw is what is seen.
"""

from textual._styles_cache import StylesCache
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Kept(StylesCache):
    """The lines of a widget that draws itself; where styles surround it, or filters change it, Textual's own way."""

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        """The lines within a region, drawn anew where they have changed."""
        width = widget.size.width
        if widget.outer_size != widget.size or widget.get_line_filters():
            return super().render_widget(widget, crop)
        if width != self._width:
            self.clear()
            self._width = width
        kept, changed, lines = self._cache, self._dirty_lines, crop.line_range
        for y in lines:
            if y in changed or y not in kept:
                kept[y] = widget.render_line(y)
        changed.difference_update(lines)
        strips = [kept[y] for y in lines]
        return strips if crop.column_span == (0, width) else [strip.crop(*crop.column_span) for strip in strips]
