"""Formulas of a page as MathML, which every browser draws without a script from the network."""


def use_mathml(exporter) -> None:
    """Let an nbconvert exporter write the formulas of Markdown cells as MathML.

    Parameters
    ----------
    exporter : nbconvert.HTMLExporter
        Or one of its kind; it is changed.
    """
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class MathRenderer(IPythonRenderer):
        def inline_math(self, body: str) -> str:
            return convert(body)

        def block_math(self, body: str) -> str:
            return convert(body, display="block")

    renderer = MathRenderer(escape=False, exclude_anchor_links=True)  # anchors break a formula in a heading
    exporter.register_filter("markdown2html", lambda source: MarkdownWithMath(renderer=renderer).render(source))
