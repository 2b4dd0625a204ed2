"""A second device that lives in ordinary memory and is as strict as an accelerator, for machines that have none.

Tensors on ``"far"`` cannot be mixed with the processor's, do not become arrays, do not read the processor's generators, and are never
float64, which MPS does not know. All arithmetic is the processor's own. So code that runs here does not forget where its tensors are, and
its answers can be compared with those of the processor to the last bits. How fast an accelerator is, and how it rounds, this does not say.

``install()`` changes torch for the whole process: use a process of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

__all__ = ["FAR", "Far", "Mixed", "install"]

FAR = "far"
# operators that an accelerator too allows to read tensors of the processor: copies, and places given as numbers
CROSSING = {"copy_", "_to_copy", "index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}


class Mixed(RuntimeError):
    """An operation was given tensors of two devices, or what this device has not."""


class Far(torch.Tensor):
    """A tensor on the far device; ``near`` holds its numbers."""

    near: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> Far:
        if near.dtype is torch.float64:
            raise Mixed("this device has no float64")
        made = torch.Tensor._make_wrapper_subclass(
            cls, near.size(), strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype, device=torch.device(FAR, 0)
        )
        made.near = near
        return made

    def __repr__(self) -> str:
        return f"Far({self.near})"

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        made = Far(self.near.detach().clone()).requires_grad_(self.requires_grad)
        return torch.nn.Parameter(made, self.requires_grad) if isinstance(self, torch.nn.Parameter) else made

    def __getitem__(self, at: Any) -> torch.Tensor:
        given = at if isinstance(at, tuple) else (at,)  # torch builds tensors of lists where no wrapper is known
        return torch.Tensor.__getitem__(self, tuple(torch.as_tensor(i) if isinstance(i, list) else i for i in given))

    def untyped_storage(self) -> Any:
        return self.near.untyped_storage()  # who shares memory with whom can be asked

    def data_ptr(self) -> int:
        return self.near.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator on the numbers of its tensors, once it is clear that an accelerator would."""
    name = func._schema.name.split("::")[1]
    flat, spec = tree_flatten((args, kwargs))
    far = any(isinstance(a, Far) for a in flat)
    device = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
    _check(name, func, args, kwargs, flat, far or device == FAR)
    if name == "_local_scalar_dense":
        return args[0].near.item()
    inner_args, inner = tree_unflatten([a.near if isinstance(a, Far) else a for a in flat], spec)
    if name == "copy_":
        target = args[0].near if isinstance(args[0], Far) else args[0]
        target.copy_(inner_args[1])
        return args[0]
    stays = device == FAR or (far and device is None)
    if device == FAR:
        inner["device"] = "cpu"
    out = func(*inner_args, **inner)
    if not stays:
        return out
    known = {id(a.near): a for a in flat if isinstance(a, Far)} if func._schema.is_mutable else {}
    return tree_map(lambda t: (known.get(id(t)) if id(t) in known else Far(t)) if isinstance(t, torch.Tensor) else t, out)


def _check(name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], flat: list[Any], far: bool) -> None:
    if not far:
        return
    near = [tuple(a.shape) for a in flat if isinstance(a, torch.Tensor) and not isinstance(a, Far) and a.dim() > 0]
    if near and name not in CROSSING:
        raise Mixed(f"{func}: tensors on the far device and on the processor, {near}")
    if name in ("index", "_unsafe_index") and not isinstance(args[0], Far):
        raise Mixed(f"{func}: the processor's tensor is read at places on the far device")
    if "index_put" in name and args[2].dim() > 0 and isinstance(args[0], Far) != isinstance(args[2], Far):
        raise Mixed(f"{func}: the tensors put and put into are on two devices")
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise Mixed(f"{func}: a generator of the processor draws on the far device")


class _Module:
    """What torch asks of a device's own module."""

    is_initialized = is_available = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    manual_seed = manual_seed_all = synchronize = staticmethod(lambda *_: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])


class _NoGradients(torch.autograd.grad_mode._DecoratorContextManager):
    """Stands in for inference mode, in which torch lets no wrapper be made: no gradients are recorded."""

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: Any = True) -> None:
        self.mode = mode if isinstance(mode, bool) else True

    def clone(self) -> _NoGradients:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(not self.mode)

    def __exit__(self, *_: object) -> None:
        torch.set_grad_enabled(self.before)


def install() -> None:
    """Make the device known to torch, and replace what torch builds past the dispatcher. Stacks of networks answer one by one: torch
    cannot map over wrapped tensors."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    from pellucid.nn.stack import StackedNet

    _setup_privateuseone_for_python_backend(FAR, backend_module=_Module())
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda op, *args, **kwargs: _run(op, args, kwargs), "PrivateUse1")
    install.library = library  # type: ignore[attr-defined]  # it ends with its last reference
    plain = torch.tensor

    def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> torch.Tensor:
        made = plain(data, dtype=dtype)
        made = made if device is None else made.to(device)
        return made.requires_grad_(True) if requires_grad else made

    def new_tensor(self: torch.Tensor, data: Any, *, dtype: Any = None, device: Any = None) -> torch.Tensor:
        return torch.as_tensor(data, dtype=dtype or self.dtype).clone().to(device or self.device)

    begin = StackedNet.__init__

    def one_by_one(self: StackedNet, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.stackable = False

    torch.tensor, torch.Tensor.new_tensor, torch.inference_mode = tensor, new_tensor, _NoGradients  # type: ignore[assignment,misc]
    StackedNet.__init__ = one_by_one  # type: ignore[method-assign]
