"""The compiled kernels in a live process: threads, forks, exits, other libraries, JAX's caches and devices."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina.kernels import conv, native
from lamina.kernels.recurrent import recurrent

pytestmark = pytest.mark.slow  # most of them start a process of their own
ours = pytest.mark.skipif(native.native().library is None, reason=native.native().reason)

# What a fresh process begins with: a network with a convolution cut into slices, a strided one and a recurrence.
NETWORK = """
import hashlib, json, os, sys
from functools import partial
import jax, jax.numpy as jnp, numpy as np
from lamina.kernels import conv, native
from lamina.kernels.recurrent import recurrent

def operands(dtype=np.float32):
    shapes = (4, 28, 28, 8), (3, 3, 8, 32), (3, 3, 32, 12), (4, 12)
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(shape) / 4).astype(dtype) for shape in shapes]

def loss(x, first, second, kernel):
    x = conv(jnp.tanh(conv(x, first)), second, 2)
    projected = x.reshape(x.shape[0], -1, 12)
    zeros = jnp.zeros((12,), x.dtype), jnp.zeros((x.shape[0], 4), x.dtype)
    return jnp.sum(recurrent("gru", projected, kernel, *zeros)[0] ** 2)

step = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))

def digest(values):
    return hashlib.sha256(b"".join(np.asarray(value).tobytes() for value in jax.tree.leaves(values))).hexdigest()

def say(**values):
    print(json.dumps(values))
"""


def process(program: str, **environment: str) -> dict[str, Any]:
    """What a fresh process says after NETWORK; it has to end by itself, and well, without a word on stderr."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "LAMINA_", "XLA_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NETWORK + program],
        env=passed | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


PLAIN = "say(digest=digest(step(*operands())))"


@pytest.fixture(scope="module")
def plain() -> str:
    """The digest of the network's loss and gradients in a process that does nothing else."""
    digest: str = process(PLAIN)["digest"]
    return digest


# --- the process -------------------------------------------------------------------------------------------------


@ours
def test_every_process_and_every_run_gives_the_same_bits(plain: str) -> None:
    answer = process("say(digests=[digest(step(*operands())) for _ in range(20)])")
    assert set(answer["digests"]) == {plain}


@ours
def test_a_compiled_program_gives_the_same_bits_on_fewer_processors(plain: str) -> None:
    # Slices are cut when a program is lowered: losing processors afterwards changes who computes, not what.
    program = """
compiled = step.lower(*operands()).compile()
before = digest(compiled(*operands()))
for task in os.listdir("/proc/self/task"):
    os.sched_setaffinity(int(task), {min(os.sched_getaffinity(0))})
say(before=before, after=digest(compiled(*operands())))
"""
    assert set(process(program).values()) == {plain}


@ours
def test_a_process_with_one_processor_computes_the_same(tmp_path: Path) -> None:
    written = tmp_path / "values.npz"
    save = f"np.savez({str(written)!r}, *jax.tree.leaves(step(*operands()))); say(threads=native.threads())"
    process(save)
    with np.load(written) as file:
        free = {name: file[name] for name in file.files}
    # In the child, before JAX starts its threads.
    pinned = f"import os\nos.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})\n{NETWORK}{save}"
    done = subprocess.run([sys.executable, "-c", pinned], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"threads": 1}
    with np.load(written) as file:
        for name, value in free.items():
            assert np.linalg.norm(file[name] - value) <= 1e-5 * np.linalg.norm(value)


@ours
@pytest.mark.parametrize("order", ["torch first", "torch last"])
def test_torch_in_the_same_process_changes_nothing(order: str, plain: str) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    theirs = """
import torch
def torch_step():
    x, w = (torch.from_numpy(value) for value in operands()[:2])
    y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1))
    return y.numpy()
threads = torch.get_num_threads()
alone = digest(torch_step())
"""
    mine = "first = digest(step(*operands()))\n"
    both = theirs + mine if order == "torch first" else mine + theirs
    ends = """
again = digest(torch_step())
say(ours=[first, digest(step(*operands()))], torch=alone == again, threads=threads == torch.get_num_threads())
"""
    assert process(both + ends) == {"ours": [plain, plain], "torch": True, "threads": True}


@ours
def test_the_callers_number_of_openmp_threads_is_left_alone() -> None:
    program = """
import ctypes
step(*operands())  # loads the library, and with it libgomp
gomp = ctypes.CDLL("libgomp.so.1")
gomp.omp_set_num_threads(3)
step(*operands())
jax.block_until_ready(jax.jit(conv)(*operands()[:2]))
native.plan("conv", 0, (0, 2, 1, 3, 5, 1, 9, 7, 3, 1, 0, 0, 1))  # generates code on this thread
say(threads=gomp.omp_get_max_threads())
"""
    assert process(program) == {"threads": 3}


@ours
def test_a_fork_before_jax_is_used_computes_in_both(plain: str) -> None:
    program = """
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, digest(step(*operands())).encode())
    os._exit(0)
own = digest(step(*operands()))
_, status = os.waitpid(child, 0)
say(digests=[own, os.read(reader, 100).decode()], status=status)
"""
    assert process(program) == {"digests": [plain, plain], "status": 0}


@ours
def test_after_a_fork_jax_warns_and_the_parent_goes_on(plain: str) -> None:
    # The child has none of the threads that XLA counts on. JAX says so; it may only leave, or start another program.
    program = """
import warnings
step(*operands())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    child = os.fork()
    if child == 0:
        os._exit(7)
_, status = os.waitpid(child, 0)
say(
    digest=digest(step(*operands())),
    status=os.waitstatus_to_exitcode(status),
    warned=any("os.fork" in str(warning.message) for warning in caught),
)
"""
    assert process(program) == {"digest": plain, "status": 7, "warned": True}


@ours
@pytest.mark.parametrize("thread", ["main", "daemon"])
def test_the_process_ends_well_in_the_middle_of_a_run(thread: str) -> None:
    # Handed to XLA and not waited for. A daemon thread that waits inside JAX as Python ends aborts the process, with or
    # without kernels of ours: before Python 3.14 such a thread is unwound through C++ frames that allow no exception.
    program = """
import threading, time
x, w, *_ = operands()
# Sums that XLA counts as work: a program without any it would run at once, on the thread that asks.
looped = jax.jit(lambda x, w: jax.lax.fori_loop(0, 2000, lambda _, h: jnp.tanh(conv(h, w) + 0.1 * h), x))
compiled = looped.lower(x, w[..., :8]).compile()
results, started = [], threading.Event()
def start():
    results.append(compiled(x, w[..., :8]))
    started.set()
def start_and_stay():
    start()
    time.sleep(1000)
"""
    ways = {"main": "start()", "daemon": "threading.Thread(target=start_and_stay, daemon=True).start()"}
    ends = "\nstarted.wait()\nsay(running=not results[0].is_ready())"
    assert process(program + ways[thread] + ends) == {"running": True}


def test_the_kernels_can_be_turned_off() -> None:
    program = """
text = step.lower(*operands()).as_text()
say(
    reason=native.native().reason,
    calls=text.count("lamina_"),
    loss=float(step(*operands())[0]),
    fast=native.fast_bfloat16(),
)
"""
    off = process(program, LAMINA_KERNELS="off")
    assert off["reason"] == "XLA's own kernels: LAMINA_KERNELS is off."
    assert (off["calls"], off["fast"]) == (0, False)
    on = process(program)
    np.testing.assert_allclose(on["loss"], off["loss"], rtol=1e-5)
    if native.native().library is not None:
        assert on["calls"] > 0


@ours
def test_bfloat16_is_fast_where_the_cpu_has_instructions_for_it() -> None:
    flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    assert native.fast_bfloat16() == ("avx512_bf16" in flags)


# --- JAX ---------------------------------------------------------------------------------------------------------


@ours
def test_a_second_process_takes_the_program_from_jaxs_cache(tmp_path: Path, plain: str) -> None:
    program = """
from jax import monitoring
events = []
monitoring.register_event_listener(lambda event, **_: events.append(event.split("/")[-1]))
from lamina import cache
folder = cache.enable()
values = digest(step(*operands()))
say(digest=values, hits=events.count("cache_hits"), folder=str(folder))
"""
    first = process(program, XDG_CACHE_HOME=str(tmp_path))
    assert list(Path(first["folder"]).glob("*loss*-cache"))
    second = process(program, XDG_CACHE_HOME=str(tmp_path))
    assert (first["hits"], second["hits"] > 0) == (0, True)
    assert first["digest"] == second["digest"] == plain


@ours
def test_two_devices_share_a_batch() -> None:
    program = """
from jax.sharding import NamedSharding, PartitionSpec as P
x, w, *_ = operands()
mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))

def total(x, w):
    return jnp.sum(jnp.tanh(conv(x, w)))

def both(x, w):  # the loss and the weights' gradient of all examples
    return jax.tree.map(lambda value: jax.lax.psum(value, "batch"), jax.value_and_grad(total, 1)(x, w))

mapped = jax.jit(jax.shard_map(both, mesh=mesh, in_specs=(P("batch"), P()), out_specs=P(), check_vma=False))
alone = jax.jit(jax.value_and_grad(total, 1))
split = jax.device_put(x, NamedSharding(mesh, P("batch")))
shared = jax.device_put(w, NamedSharding(mesh, P()))
whole = alone(x, w)
def wrong(values):
    pairs = zip(jax.tree.leaves(values), jax.tree.leaves(whole))
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)
say(devices=len(split.sharding.device_set), mapped=wrong(mapped(split, shared)), automatic=wrong(alone(split, shared)))
"""
    answer = process(program, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert answer["devices"] == 2
    assert answer["mapped"] < 1e-5
    assert answer["automatic"] < 1e-5


def numbers(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@ours
def test_programs_that_run_at_the_same_time_do_not_mix() -> None:
    def loss(x: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
        y = jnp.tanh(conv(x, w))
        projected = y.reshape(y.shape[0], -1, 3 * u.shape[0])[:, :20]
        zeros = jnp.zeros((3 * u.shape[0],)), jnp.zeros((y.shape[0], u.shape[0]))
        return jnp.sum(jnp.square(recurrent("gru", projected, u, *zeros)[0])) + jnp.sum(y)

    steps, operands = [], []
    for index, (batch, size, channels) in enumerate([(1, 40, 24), (4, 20, 24), (3, 33, 12), (8, 16, 48)]):
        steps.append(jax.jit(jax.value_and_grad(loss, (0, 1, 2))))
        x = numbers(index, batch, size, size, 16)
        operands.append((x, numbers(index, 3, 3, 16, channels), numbers(index, channels // 6, channels // 2)))
    alone = [jax.tree.map(np.asarray, step(*args)) for step, args in zip(steps, operands, strict=True)]

    def often(index: int) -> list[Any]:
        which = index % len(steps)  # two threads run each program
        return [jax.tree.map(np.asarray, steps[which](*operands[which])) for _ in range(10)]

    with ThreadPoolExecutor(2 * len(steps)) as pool:
        together = list(pool.map(often, range(2 * len(steps))))
    for index, results in enumerate(together):
        for result in results:
            jax.tree.map(np.testing.assert_array_equal, result, alone[index % len(steps)])


@ours
def test_donated_memory_may_hold_the_result() -> None:
    x, w = numbers(0, 2, 24, 24, 16), numbers(1, 3, 3, 16, 16)
    kept = np.asarray(jax.jit(conv)(x, w))
    donating = jax.jit(conv, donate_argnums=0)
    given = jnp.array(x)
    np.testing.assert_array_equal(donating(given, w), kept)
    assert given.is_deleted()
    h, by_hand = jnp.array(x), x
    for _ in range(3):
        h = donating(h, w / 8)
        by_hand = conv(by_hand, w / 8)
    np.testing.assert_array_equal(h, by_hand)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_only_programs_for_a_cpu_call_the_kernels(platform: str) -> None:
    def loss(x: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
        projected = conv(x, w).reshape(x.shape[0], -1, 12)
        return jnp.sum(recurrent("lstm", projected, u, jnp.zeros(12), x[:, 0, 0, :3], x[:, 0, 1, :3])[0])

    step = jax.jit(jax.grad(loss, (0, 1, 2)))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 6, 6, 3), (3, 3, 3, 12), (3, 12))]
    allowed = [
        jax.export.DisabledSafetyCheck.custom_call(f"lamina_{name}")
        for name in ("conv_forward", "conv_data", "conv_weights", "recurrent_forward", "recurrent_backward")
    ]
    text = jax.export.export(step, platforms=[platform], disabled_checks=allowed)(*shapes).mlir_module()
    calls = text.count("stablehlo.custom_call @lamina_")
    assert (calls > 0) == (platform == "cpu" and native.native().library is not None)
    assert (text.count("stablehlo.convolution") > 0) == (calls == 0)


# --- values ------------------------------------------------------------------------------------------------------


def test_an_empty_batch_is_an_empty_batch() -> None:
    w = numbers(0, 3, 3, 4, 5)
    value, gradients = jax.value_and_grad(lambda x, w: jnp.sum(conv(x, w, 2)), (0, 1))(jnp.zeros((0, 9, 9, 4)), w)
    assert value == 0
    assert gradients[0].shape == (0, 9, 9, 4)
    np.testing.assert_array_equal(gradients[1], np.zeros_like(w))
    outputs, _ = recurrent("simple", jnp.zeros((0, 3, 2)), jnp.eye(2), jnp.zeros(2), jnp.zeros((0, 2)))
    assert outputs.shape == (0, 3, 2)


def test_an_example_alone_is_as_it_is_among_others() -> None:
    x, w = numbers(0, 5, 30, 30, 16), numbers(1, 3, 3, 16, 24)
    among = conv(x, w)
    for index in range(len(x)):
        alone = conv(x[index : index + 1], w)[0]
        assert np.linalg.norm(alone - among[index]) <= 2e-6 * np.linalg.norm(among[index])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_goes_where_it_belongs_and_nowhere_else(value: float) -> None:
    x, w = numbers(0, 3, 30, 30, 16), numbers(1, 3, 3, 16, 24)
    where = (1, 12, 14, 3)
    reached = np.zeros((3, 30, 30, 24), bool)
    reached[1, 11:14, 13:16] = True
    y = np.asarray(conv(x.at[where].set(value), w))
    np.testing.assert_array_equal(~np.isfinite(y), reached)
    np.testing.assert_array_equal(y[~reached], np.asarray(conv(x, w))[~reached])

    def pulled(dy: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        dx, dw = jax.vjp(conv, x, w)[1](dy)
        return np.asarray(dx), np.asarray(dw)

    dy = numbers(2, 3, 30, 30, 24)
    dx, dw = pulled(dy.at[where].set(value))
    assert (~np.isfinite(dx)).any(-1).tolist() == reached.any(-1).tolist()
    assert not np.isfinite(dw[..., 3]).any()  # the output channel of that gradient
    np.testing.assert_array_equal(np.delete(dw, 3, -1), np.delete(pulled(dy)[1], 3, -1))

    states, _ = recurrent(
        "gru", numbers(3, 2, 6, 9).at[1, 3, 8].set(value), numbers(4, 3, 9), jnp.zeros(9), jnp.zeros((2, 3))
    )
    finite = np.isfinite(states)
    assert finite[0].all()
    assert finite[1, :3].all()
    assert finite[1].all() == (not np.isnan(value))  # the gates saturate at an infinity


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_both_types_are_within_their_precision_of_float64(name: str) -> None:
    dtype = jnp.dtype(name)
    x, w, dy = (numbers(seed, *shape) for seed, shape in enumerate([(3, 20, 21, 16), (3, 3, 16, 24), (3, 20, 21, 24)]))
    operands = [value.astype(dtype) for value in (x, w, dy)]

    def all_three(x: jax.Array, w: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
        y, pull = jax.vjp(conv, x, w)
        return y, *pull(dy)

    got = jax.jit(all_three)(*operands)
    assert {value.dtype for value in got} == {dtype}
    with jax.enable_x64(True):
        exact = jax.jit(all_three)(*(value.astype(jnp.float64) for value in operands))
        for value, expected in zip(got, exact, strict=True):
            wrong = np.linalg.norm(np.asarray(value, np.float64) - expected) / np.linalg.norm(expected)
            assert wrong < {"float32": 2e-6, "bfloat16": 1e-2}[name]
