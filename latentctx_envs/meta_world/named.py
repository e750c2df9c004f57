"""MuJoCo data that look a name up once."""

import weakref
from typing import Any

import mujoco


class Names(dict[tuple[str, Any], Any]):
    """Accessors that were looked up, by kind and by name or index."""


class NamedData(mujoco.MjData):
    """MuJoCo data whose named accessors are kept.

    A look-up by name takes longer in the bindings than most of what is done with its result. What an accessor shows
    are views of this object's own memory, which never moves, so that a kept one stays true.

    Args:
        model: what the data are of.
        names: where accessors are kept. Its owner must hold it, and these data do not: an accessor holds its data in a
            way that the garbage collector does not see, and the circle would never be freed.
    """

    def __init__(self, model: mujoco.MjModel, names: Names) -> None:
        super().__init__(model)
        self._names = weakref.ref(names)

    def body(self, key: Any) -> Any:
        """The accessor of a body."""
        return self._kept("body", key)

    def geom(self, key: Any) -> Any:
        """The accessor of a geom."""
        return self._kept("geom", key)

    def site(self, key: Any) -> Any:
        """The accessor of a site."""
        return self._kept("site", key)

    def joint(self, key: Any) -> Any:
        """The accessor of a joint."""
        return self._kept("joint", key)

    def _kept(self, kind: str, key: Any) -> Any:
        names = self._names()
        if names is None:
            return getattr(super(), kind)(key)
        try:
            return names[kind, key]
        except KeyError:
            accessor = names[kind, key] = getattr(super(), kind)(key)
            return accessor
