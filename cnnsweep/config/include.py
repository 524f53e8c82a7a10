"""The trials of `include`: explicit ones beside those of the space, checked as the values under `params` are."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnnsweep.config.axis import Values
from cnnsweep.config.class_weight_field import CLASS_WEIGHT
from cnnsweep.config.component_arguments import ALL, check_arguments, unused_by, user_of
from cnnsweep.config.conditions import Condition
from cnnsweep.config.cross_checks import check_model_arguments
from cnnsweep.config.distributions import is_choice, is_distribution
from cnnsweep.config.dump import as_written, without_folder
from cnnsweep.config.error_messages import Mistake, mistakes_in
from cnnsweep.config.model_arguments import mistakes_in_arguments
from cnnsweep.config.schema import ARGUMENT_PREFIXES, Params
from cnnsweep.config.yaml import KeyPath
from cnnsweep.field_types import found
from cnnsweep.types import ModelChoice


class IncludedTrials:
    """Reads the trials of `include`.

    Args:
        axes: the checked axes, in the file's order.
        when: the conditions of those that have one.
        model: the top-level model.
        folder: the folder of a user's own code.
    """

    def __init__(
        self, axes: Mapping[str, Values], when: Mapping[str, Condition], model: ModelChoice | None, folder: Path
    ) -> None:
        self._axes = axes
        self._when = when
        self._model = model
        self._folder = folder
        self._single = {
            key: values[0] for key, values in axes.items() if isinstance(values, tuple) and len(values) == 1
        }

    def read(self, value: Any, mistakes: list[Mistake]) -> tuple[Mapping[str, Any], ...]:
        """Return the trials, each with a value for every axis that applies to it."""
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            text = f"{found(value)}, allowed is a list of trials such as [{{lr: 0.5, batch_size: 64}}]"
            mistakes.append(Mistake(("include",), text))
            return ()
        trials = []
        for position, given in enumerate(value):
            path: KeyPath = ("include", position)
            if not isinstance(given, dict) or not given:
                what = "found an empty mapping" if given == {} else found(given)
                mistakes.append(Mistake(path, f"{what}, allowed is a mapping of keys and values such as {{lr: 0.5}}"))
                continue
            trial_params, wrong = self._trial(given)
            mistakes += [Mistake((*path, *one.path[1:]), one.text, one.at_key) for one in wrong]
            if not wrong:
                trials.append(trial_params)
        return tuple(trials)

    def _trial(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
        """Return one trial; mistakes have paths that begin with `params`."""
        trial_params, mistakes = self._checked(given)
        if mistakes:
            return trial_params, mistakes
        written = {key: as_written(value) for key, value in {**self._single, **trial_params}.items()}
        for key in self._axes:
            if key in given or (key in self._when and not self._when[key].holds(written)):
                continue
            if key not in self._single:
                text = f"does not say which {key}, of which params has several; name one"
                return trial_params, [Mistake(("params",), text)]
            trial_params[key] = self._single[key]
        mistakes = list(self._contradictions(trial_params, given))
        return {key: trial_params[key] for key in dict.fromkeys([*self._axes, *given]) if key in trial_params}, mistakes

    def _contradictions(self, trial_params: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Mistake]:
        if "dropout" in trial_params and "model.dropout" in trial_params:
            key = "model.dropout" if "model.dropout" in given else "dropout"
            yield Mistake(("params", key), "dropout and model.dropout are the same; keep one of them", at_key=True)
        for key in given:
            if (user := user_of(key)) is None or key in self._axes:
                continue
            choice = trial_params.get(user, Params.model_fields[user].default[0])
            if users := unused_by(key, [choice]):
                name = without_folder(choice.name, choice.code)
                yield Mistake(("params", key), f"not used by {name}, only by {users}", at_key=True)

    def _checked(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
        """Return the values given, checked as those under `params` are."""
        plain = {key: value for key, value in given.items() if not key.startswith(ARGUMENT_PREFIXES)}
        mistakes = [
            Mistake(("params", key), f"{found(value)}, allowed is one value")
            for key, value in plain.items()
            if isinstance(value, list)
        ]
        # The same for arguments: what a distribution means as a value, only the model could tell.
        mistakes += [
            Mistake(("params", key), "found a distribution, allowed is one value")
            for key, value in given.items()
            if (is_choice(value) if key == CLASS_WEIGHT else is_distribution(value))
        ]
        wrong = {one.path[1] for one in mistakes}
        single = {key: value for key, value in plain.items() if key not in wrong}
        trial_params: dict[str, Any] = {}
        try:
            params = Params.model_validate(single, context={"folder": self._folder})
        except ValidationError as error:
            mistakes += [Mistake(("params", *one.path), one.text, one.at_key) for one in mistakes_in(error, "params")]
        else:
            trial_params = {key: getattr(params, key)[0] for key in single}
        models: Any = trial_params.get("model") or self._axes.get("model") or self._model
        chosen = models if isinstance(models, tuple) else () if models is None else (models,)
        if isinstance(own := trial_params.get("model"), ModelChoice):
            placed = [(("params", "model"), own)]
            mistakes += mistakes_in_arguments(placed, {**self._axes, **given}, all_apply=False)
        # A list of one, since a list as such is an axis there.
        arguments = {key: [value] for key, value in given.items() if key not in plain and key not in wrong}
        checked, wrong_arguments = check_model_arguments(arguments, chosen)
        of_components, unfit = check_arguments(arguments, {of.key: self._choices(of.key, trial_params) for of in ALL})
        checked |= of_components
        mistakes += [Mistake(one.path[:2], one.text, one.at_key) for one in (*wrong_arguments, *unfit)]
        trial_params.update({key: values[0] for key, values in checked.items() if isinstance(values, tuple) and values})
        return trial_params, mistakes

    def _choices(self, key: str, trial_params: Mapping[str, Any]) -> Sequence[Any]:
        """Return what a trial may have for a key: its own value, or those of the axis."""
        own = trial_params.get(key, self._single.get(key))
        values = self._axes.get(key, Params.model_fields[key].default) if own is None else (own,)
        return values if isinstance(values, tuple) else ()
