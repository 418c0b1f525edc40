"""A shelf as C source for a firmware: the model's bytes, its operators, its arena, and how to make its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.inference.manifest import Manifest

_BYTES_A_LINE: Final = 16


def export(manifest: Manifest, model: bytes, folder: Path) -> tuple[Path, Path]:
    """Write ``<domain>_model.h`` and ``<domain>_model.c`` into a folder; return both paths."""
    stem = f"{manifest.domain.replace('-', '_')}_model"
    header, source = folder / f"{stem}.h", folder / f"{stem}.c"
    folder.mkdir(parents=True, exist_ok=True)
    header.write_text(_header(stem, manifest, len(model)), encoding="ascii")
    source.write_text(_source(stem, manifest, model), encoding="ascii")
    return header, source


def _header(stem: str, manifest: Manifest, size: int) -> str:
    upper = stem.upper()
    names = "\n".join(f" *   {index:3d} {feature.name}" for index, feature in enumerate(manifest.features))
    ops = "\n".join(f" *   {op}" for op in manifest.ops)
    return f"""\
/* {manifest.domain} model, rule "{manifest.rule}", version {manifest.version}.
 *
 * int8 input  = clamp(round((feature - {stem}_mean) / {stem}_scale / {upper}_INPUT_SCALE) + {upper}_INPUT_ZERO_POINT)
 *               after clipping (feature - mean) / scale to +-{upper}_CLIP
 * score 0...1 = (int8 output - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE
 *
 * Operators to register with the resolver:
{ops}
 * Features, in order:
{names}
 */
#ifndef {upper}_H
#define {upper}_H

#define {upper}_BYTES {size}u
#define {upper}_ARENA_BYTES {manifest.arena_bytes}u /* measured on a 64-bit host; 32-bit pointers need less */
#define {upper}_OPS {len(manifest.ops)}
#define {upper}_FEATURES {len(manifest.features)}
#define {upper}_CLIP {_number(manifest.clip)}
#define {upper}_INPUT_SCALE {_number(manifest.input.scale)}
#define {upper}_INPUT_ZERO_POINT ({manifest.input.zero_point})
#define {upper}_OUTPUT_SCALE {_number(manifest.output.scale)}
#define {upper}_OUTPUT_ZERO_POINT ({manifest.output.zero_point})
#define {upper}_RAISE_AT {_number(manifest.judging.raise_at)}
#define {upper}_CLEAR_AT {_number(manifest.judging.clear_at)}

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {stem}[{upper}_BYTES];
extern const float {stem}_mean[{upper}_FEATURES];
extern const float {stem}_scale[{upper}_FEATURES];

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(stem: str, manifest: Manifest, model: bytes) -> str:
    upper = stem.upper()
    lines = (model[at : at + _BYTES_A_LINE] for at in range(0, len(model), _BYTES_A_LINE))
    array = ",\n    ".join(", ".join(f"0x{byte:02x}" for byte in line) for line in lines)
    return f"""\
#include "{stem}.h"

#if defined(__GNUC__)
#define ALIGNED __attribute__((aligned(16))) /* a flatbuffer is read in place */
#else
#define ALIGNED
#endif

const unsigned char {stem}[{upper}_BYTES] ALIGNED = {{
    {array}}};

const float {stem}_mean[{upper}_FEATURES] = {{
    {_numbers([feature.mean for feature in manifest.features])}}};

const float {stem}_scale[{upper}_FEATURES] = {{
    {_numbers([feature.scale for feature in manifest.features])}}};
"""


def _numbers(values: Sequence[float]) -> str:
    return ",\n    ".join(map(_number, values))


def _number(value: float) -> str:
    """Write a C float literal: ``1e-05f``, ``2.0f``."""
    return f"{float(value)!r}f"
