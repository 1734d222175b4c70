"""The series of several nets as one, so that one verdict stands on all of them."""


def together(by_net: dict[str, dict]) -> dict:
    """Return the series of several nets as one: each key begins with its net, and lists get one.

    Parameters
    ----------
    by_net : dict of str to dict
        Net to the series of a rule, all of the same form.
    """
    first = next(iter(by_net.values()))
    joined: dict = {}
    for name, value in first.items():
        each = {net: series[name] for net, series in by_net.items()}
        if not isinstance(value, dict):
            joined[name] = each
        elif any(isinstance(inner, dict) for inner in value.values()):
            joined[name] = {key: _keyed({net: one[key] for net, one in each.items()}) for key in value}
        else:
            joined[name] = _keyed(each)
    if "accuracy" in joined:  # the reference of a net is that of all its bit widths
        (reference,) = joined.keys() - {"accuracy"}
        joined[reference] = {
            f"{net}, {key}": series[reference] for net, series in by_net.items() for key in series["accuracy"]
        }
    return joined


def _keyed(by_net: dict[str, dict]) -> dict:
    return {f"{net}, {key}": value for net, series in by_net.items() for key, value in series.items()}
