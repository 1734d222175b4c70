"""The figure of lesson 05 that shows a spoken word, and what nets of fewer and fewer bits hear."""

import numpy as np
from numpy.typing import ArrayLike

from relcomp_kit.figures.parts import percent_cells
from relcomp_kit.figures.style import GREY, SMALL, figure


def spoken_word(picture: ArrayLike, word: str, answers: dict[str, dict[str, float]]) -> None:
    """Draw a clip as its log-mel picture, and beside it how sure each net is of each word.

    Parameters
    ----------
    picture : array
        Log-mel energies, (frames, bands), a frame each 10 ms.
    word : str
        What was said.
    answers : dict of str to dict of str to float
        Per net the probability of each word, in [0, 1], the same words for all nets.
    """
    shown = np.asarray(picture)
    words = list(next(iter(answers.values())))
    percent = np.array([[100 * one[name] for name in words] for one in answers.values()])
    with figure(1, 2, size=(14.5, 4.4), gridspec_kw={"width_ratios": [1, 2]}) as (_, (left, right)):
        left.imshow(shown.T, cmap=GREY, origin="lower", aspect="auto", extent=(0, len(shown) / 100, 0, shown.shape[1]))
        left.set(title=f'"{word}"', xlabel="seconds", ylabel="band, low to high")
        percent_cells(right, percent, SMALL)
        right.set_xticks(range(len(words)), words, rotation=40, ha="right", rotation_mode="anchor")
        right.set_yticks(range(len(answers)), answers)
        right.set_title("what each net hears, %")
        for axis in (left, right):
            axis.grid(False)
