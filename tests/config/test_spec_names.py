import subprocess
import sys

import pytest
import torchvision

from cnnsweep.config.schema import Params
from cnnsweep.models.base import MODELS
from cnnsweep.models.torchvision import TorchvisionModel
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS


def test_torchvision_models_are_those_that_torchvision_lists() -> None:
    assert list(TorchvisionModel.names) == torchvision.models.list_models(module=torchvision.models)
    assert MODELS.names[:3] == ("lenet", "cifar_cnn", "cnn")
    assert len(set(MODELS.names)) == len(MODELS.names)


def test_fields_of_built_in_optimizers_are_keys_of_params_with_equal_defaults() -> None:
    for name in ("adam", "adamw", "rmsprop", "sgd"):
        fields = OPTIMIZERS.get(name).model_fields
        assert set(FLAT) <= set(Params.model_fields)
        for key in set(fields) & set(FLAT) - {"weight_decay"}:  # whose default depends on the optimizer
            assert Params.model_fields[key].default == (fields[key].default,)


@pytest.mark.parametrize("module", ["load", "trials", "json_schema", "template"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = (
        f"import sys, cnnsweep.config.{module}; "
        "print([name for name in ('torch', 'numpy', 'pandas', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
