"""Labels of filters: which are one, and which can never be removed, and why."""

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


class Labels:
    """Labels of filters, and what was found out about them. Label 0 is of what is always there, such as pixels."""

    def __init__(self):
        self._same: list[Tensor] = [torch.zeros(2, 0, dtype=torch.int64)]
        self._fixed: list[tuple[Tensor, str]] = []
        self._known = torch.zeros(1, dtype=torch.bool)  # fixed by name, not only by being one with a fixed one

    def new(self, count: int) -> Tensor:
        """Return labels that nothing has yet, (count,) int64."""
        first = len(self._known)
        self._known = torch.cat([self._known, torch.zeros(count, dtype=torch.bool)])
        return torch.arange(first, first + count)

    def fix(self, labels: Tensor, why: str) -> None:
        """Let filters stay whatever a path says; of several reasons, the first counts."""
        labels = labels[labels > 0].unique()
        self._fixed.append((labels, why))
        self._known[labels] = True

    def join(self, one: Tensor, other: Tensor, why: str) -> None:
        """Make labels one, place by place; those that meet 0 are fixed."""
        loose = (one == 0) | (other == 0)
        if (one != other)[loose].any():
            self.fix(torch.cat([one[loose], other[loose]]), why)
        self._same.append(torch.stack([one, other])[:, ~loose & (one != other)])

    def live(self, labels: Tensor) -> bool:
        """Return whether any label is of a filter that is not known to be fixed."""
        return bool(((labels > 0) & ~self._known[labels]).any())

    def classes(self) -> tuple[Tensor, dict[int, str]]:
        """Return the class of every label, (labels,) int64: equal where they are one. And why classes are fixed."""
        pairs, count = torch.cat(self._same, 1).numpy(), len(self._known)
        matrix = coo_array((torch.ones(pairs.shape[1]).numpy(), (pairs[0], pairs[1])), shape=(count, count))
        classes = torch.from_numpy(connected_components(matrix, directed=False)[1]).long()
        why: dict[int, str] = {int(classes[0]): "it is always there"}
        for labels, reason in self._fixed:
            for one in classes[labels].unique().tolist():
                why.setdefault(one, reason)
        return classes, why
