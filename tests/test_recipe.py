"""Recipes: layers, short names, and errors that name the key and the nearest one."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from snowball.finding import BadInput
from snowball.recipe import SHARED, Recipe, flatten, parse_overrides, resolve_key
from snowball.registry import tasks


def build(*layers: dict[str, object]) -> Recipe:
    return Recipe.build("image-classification", tasks()["image-classification"].section_types(), *layers)


def test_later_layers_win_and_short_names_reach_their_section() -> None:
    recipe = build({"train.epochs": 3, "optim.lr": 1.0}, {"epochs": 4, "lr": "1e-3", "model": "lenet", "flip": 0.5})
    assert (recipe.train.epochs, recipe.optim.lr, recipe.model.name) == (4, 1e-3, "lenet")
    assert recipe.to_dict()["augment"]["flip"] == 0.5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epcohs": 3}, "unknown recipe key 'epcohs' (nearest: epochs)"),
        ({"train.epocs": 3}, "(nearest: train.epochs)"),
        ({"epochs": "many"}, "recipe key train.epochs: 'many': input should be a valid integer"),
        ({"epochs": 0}, "recipe key train.epochs: 0: input should be greater than or equal to 1"),
        ({"optim": "adm"}, "'sgd', 'adam', 'adamw' or 'muon'"),
        ({"name": "x"}, "more than one section: write "),
        ({"betas": [0.9]}, "recipe key optim.betas"),
    ],
)
def test_a_wrong_key_or_value_is_one_clear_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_recipe_is_frozen_and_replace_makes_another() -> None:
    recipe = build({})
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.epochs = 5
    assert recipe.replace({"train.epochs": 5}).train.epochs == 5
    assert recipe.train.epochs != 5


def test_yaml_round_trip_keeps_every_value_and_every_waiver() -> None:
    recipe = build({"betas": "0.8,0.95", "waive.split-overlap": "known copies", "clip": 1.0})
    again = build(flatten(yaml.safe_load(recipe.to_yaml())))
    assert again == recipe
    assert again.waive == {"split-overlap": "known copies"}
    assert again.optim.betas == (0.8, 0.95)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_word_is_a_pair_or_one_clear_error(word: str) -> None:
    try:
        parse_overrides([word])
    except BadInput as error:
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_any_key_is_known_or_one_clear_error(key: str) -> None:
    try:
        assert resolve_key(key, SHARED).count(".") == 1
    except BadInput as error:
        assert "recipe key" in str(error)


def test_every_field_is_documented() -> None:
    for task in tasks().values():
        for section in task.section_types():
            assert section.__doc__
            for name, field in section.model_fields.items():
                assert field.description, f"{section.key}.{name} has no documentation"
