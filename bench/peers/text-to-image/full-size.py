"""Writes a text-to-image pipeline of a public model's shapes, with random weights, as a folder in diffusers' layout.

    PYTHONPATH=.toolchain/peers python3 full-size.py sd15|sdxl FOLDER MERGES [--dtype float32|float16]

MERGES is CLIP's merges.txt.gz. Weights are those of PyTorch's initial distributions: what a network computes from them is of
a size that a comparison notices.
"""

import argparse
import gzip
import json
import pathlib

import numpy
import safetensors.numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

SD15_UNET = dict(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
SDXL_UNET = dict(
    sample_size=128, cross_attention_dim=2048, attention_head_dim=(5, 10, 20), block_out_channels=(320, 640, 1280),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, addition_embed_type="text_time",
    addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)
CLIP_L = dict(width=768, layers=12, heads=12, inner=3072, act="quick_gelu", projection=None)
CLIP_BIG_G = dict(width=1280, layers=32, heads=20, inner=5120, act="gelu", projection=1280)
VOCABULARY, TOKENS = 49408, 77
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, steps_offset=1)

FAMILIES = {
    "sd15": dict(
        unet=SD15_UNET, scale=0.18215, encoders=[CLIP_L], pipeline="StableDiffusionPipeline",
        scheduler=dict(_class_name="PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=False, **SCHEDULE)),
    "sdxl": dict(
        unet=SDXL_UNET, scale=0.13025, encoders=[CLIP_L, CLIP_BIG_G], pipeline="StableDiffusionXLPipeline",
        scheduler=dict(_class_name="EulerDiscreteScheduler", timestep_spacing="leading", **SCHEDULE)),
}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def text_encoder(shape, generator, dtype):
    """Weights by transformers' names: normal, of the standard deviation of CLIP's initial ones, and norms of 1 and 0."""
    width, inner = shape["width"], shape["inner"]

    def normal(*dims):
        return (0.02 * generator.standard_normal(dims, dtype=numpy.float32)).astype(dtype)

    def norm(name):
        return {f"{name}.weight": numpy.ones(width, dtype), f"{name}.bias": numpy.zeros(width, dtype)}

    tensors = {
        "text_model.embeddings.token_embedding.weight": normal(VOCABULARY, width),
        "text_model.embeddings.position_embedding.weight": normal(TOKENS, width),
        **norm("text_model.final_layer_norm"),
    }
    for layer in range(shape["layers"]):
        prefix = f"text_model.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors[f"{prefix}.self_attn.{part}.weight"] = normal(width, width)
            tensors[f"{prefix}.self_attn.{part}.bias"] = normal(width)
        tensors[f"{prefix}.mlp.fc1.weight"], tensors[f"{prefix}.mlp.fc1.bias"] = normal(inner, width), normal(inner)
        tensors[f"{prefix}.mlp.fc2.weight"], tensors[f"{prefix}.mlp.fc2.bias"] = normal(width, inner), normal(width)
        tensors |= norm(f"{prefix}.layer_norm1") | norm(f"{prefix}.layer_norm2")
    if shape["projection"] is not None:
        tensors["text_projection.weight"] = normal(shape["projection"], width)
    return tensors


def write_text_encoder(folder, shape, generator, dtype):
    projected = shape["projection"] is not None
    write_json(folder / "config.json", dict(
        architectures=["CLIPTextModelWithProjection" if projected else "CLIPTextModel"], hidden_size=shape["width"],
        num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"], intermediate_size=shape["inner"],
        hidden_act=shape["act"], max_position_embeddings=TOKENS, vocab_size=VOCABULARY, layer_norm_eps=1e-5, eos_token_id=2,
        **(dict(projection_dim=shape["projection"]) if projected else {})))
    safetensors.numpy.save_file(text_encoder(shape, generator, dtype), folder / "model.safetensors")


def write_tokenizer(folder, merges, pad):
    """CLIP's vocabulary follows from its merges: the letters of bytes, the same at a word's end, the merges, two specials."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = letters + [letter + "</w>" for letter in letters] + [merge.replace(" ", "") for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == VOCABULARY
    write_json(folder / "vocab.json", {word: i for i, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    write_json(folder / "tokenizer_config.json", dict(pad_token=pad, model_max_length=TOKENS, tokenizer_class="CLIPTokenizer"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("merges", type=pathlib.Path)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    options = parser.parse_args()
    family, folder = FAMILIES[options.family], options.folder
    torch.manual_seed(0)
    generator = numpy.random.default_rng(0)
    torch_dtype = getattr(torch, options.dtype)
    UNet2DConditionModel(**family["unet"]).to(torch_dtype).save_pretrained(folder / "unet", max_shard_size="100GB")
    AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, sample_size=512,
        scaling_factor=family["scale"]).to(torch_dtype).save_pretrained(folder / "vae")
    write_json(folder / "scheduler" / "scheduler_config.json", family["scheduler"])
    merges = [line for line in gzip.open(options.merges, "rt").read().split("\n") if " " in line and not line.startswith("#version")]
    parts = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
             "scheduler": ["diffusers", family["scheduler"]["_class_name"]]}
    for i, shape in enumerate(family["encoders"]):
        suffix = "" if i == 0 else "_2"
        write_text_encoder(folder / f"text_encoder{suffix}", shape, generator, numpy.dtype(options.dtype))
        write_tokenizer(folder / f"tokenizer{suffix}", merges, "<|endoftext|>" if i == 0 else "!")
        parts[f"text_encoder{suffix}"] = ["transformers", "CLIPTextModel" if i == 0 else "CLIPTextModelWithProjection"]
        parts[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
    write_json(folder / "model_index.json", {"_class_name": family["pipeline"], **parts})


main()
