"""What Hugging Face's transformers makes of a config.json, for `fanin init config.json` to be held to.

    pip install torch==2.15.0 transformers==5.24.0
    python benches/peers/families.py                       # writes tests/families/*.json
    python benches/peers/families.py --load target/release/fanin   # loads what fanin writes

Without arguments it writes for each family, from published sizes, the names, shapes and dtypes of the
model on the meta device, and of small models that transformers initializes what every tensor is drawn
from: mean, standard deviation and kurtosis, the one value of a constant, rows of zeros, values of what
no seed changes. All as `save_pretrained` would write it: experts apart, tied weights once.

With `--load` it has fanin write each model, loads it by its own class and by AutoModel, and prints the
keys that are missing, unexpected or of another shape.
"""

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers.core_model_loading import revert_weight_conversion

TABLES = Path(__file__).parents[2] / "tests" / "families"
DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16", torch.int64: "i64"}

# Published: each model's config.json, what sizes no tensor left out.
PUBLISHED = {
    "gpt2": [
        dict(architectures=["GPT2LMHeadModel"], initializer_range=0.02, n_ctx=1024, n_embd=1600,
             n_head=25, n_layer=48, n_positions=1024, vocab_size=50257),
    ],
    "gpt_neo": [
        dict(architectures=["GPTNeoForCausalLM"], attention_types=[[["global", "local"], 12]],
             hidden_size=2048, initializer_range=0.02, intermediate_size=None,
             max_position_embeddings=2048, num_heads=16, num_layers=24, vocab_size=50257),
    ],
    "gpt_neox": [
        dict(architectures=["GPTNeoXForCausalLM"], hidden_size=1024, initializer_range=0.02,
             intermediate_size=4096, max_position_embeddings=2048, num_attention_heads=16,
             num_hidden_layers=24, rotary_pct=0.25, tie_word_embeddings=False, torch_dtype="float16",
             use_parallel_residual=True, vocab_size=50304),
        dict(architectures=["GPTNeoXForCausalLM"], hidden_size=6144, initializer_range=0.02,
             intermediate_size=24576, max_position_embeddings=2048, num_attention_heads=64,
             num_hidden_layers=44, rotary_pct=0.25, tie_word_embeddings=False, torch_dtype="float16",
             vocab_size=50432),
    ],
    "llama": [
        dict(architectures=["LlamaForCausalLM"], attention_bias=False, head_dim=64, hidden_size=2048,
             initializer_range=0.02, intermediate_size=8192, max_position_embeddings=131072,
             mlp_bias=False, num_attention_heads=32, num_hidden_layers=16, num_key_value_heads=8,
             tie_word_embeddings=True, torch_dtype="bfloat16", vocab_size=128256),
        dict(architectures=["LlamaForCausalLM"], hidden_size=4096, initializer_range=0.02,
             intermediate_size=11008, max_position_embeddings=4096, num_attention_heads=32,
             num_hidden_layers=32, num_key_value_heads=32, tie_word_embeddings=False,
             torch_dtype="float16", vocab_size=32000),
    ],
    "mistral": [
        dict(architectures=["MistralForCausalLM"], hidden_size=4096, initializer_range=0.02,
             intermediate_size=14336, max_position_embeddings=32768, num_attention_heads=32,
             num_hidden_layers=32, num_key_value_heads=8, sliding_window=None,
             tie_word_embeddings=False, torch_dtype="bfloat16", vocab_size=32768),
    ],
    "qwen2": [
        dict(architectures=["Qwen2ForCausalLM"], attention_dropout=0.0, bos_token_id=151643,
             eos_token_id=151645, hidden_act="silu", hidden_size=896, initializer_range=0.02,
             intermediate_size=4864, max_position_embeddings=32768, max_window_layers=21,
             num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2, rms_norm_eps=1e-06,
             rope_theta=1000000.0, sliding_window=32768, tie_word_embeddings=True,
             torch_dtype="bfloat16", use_cache=True, use_sliding_window=False, vocab_size=151936),
    ],
    "qwen3": [
        dict(architectures=["Qwen3ForCausalLM"], attention_bias=False, head_dim=128, hidden_size=1024,
             initializer_range=0.02, intermediate_size=3072, max_position_embeddings=40960,
             max_window_layers=28, num_attention_heads=16, num_hidden_layers=28,
             num_key_value_heads=8, tie_word_embeddings=True, torch_dtype="bfloat16",
             vocab_size=151936),
    ],
    "gemma": [
        dict(architectures=["GemmaForCausalLM"], head_dim=256, hidden_size=2048,
             initializer_range=0.02, intermediate_size=16384, max_position_embeddings=8192,
             num_attention_heads=8, num_hidden_layers=18, num_key_value_heads=1, pad_token_id=0,
             torch_dtype="bfloat16", vocab_size=256000),
    ],
    "gemma2": [
        dict(architectures=["Gemma2ForCausalLM"], head_dim=256, hidden_size=2304,
             initializer_range=0.02, intermediate_size=9216, max_position_embeddings=8192,
             num_attention_heads=8, num_hidden_layers=26, num_key_value_heads=4, pad_token_id=0,
             torch_dtype="float32", vocab_size=256000),
    ],
    "gemma3_text": [
        dict(architectures=["Gemma3ForCausalLM"], attention_bias=False, head_dim=256, hidden_size=1152,
             initializer_range=0.02, intermediate_size=6912, max_position_embeddings=32768,
             num_attention_heads=4, num_hidden_layers=26, num_key_value_heads=1, pad_token_id=0,
             sliding_window=512, sliding_window_pattern=6, torch_dtype="bfloat16",
             vocab_size=262144),
    ],
    "gemma3": [
        dict(architectures=["Gemma3ForConditionalGeneration"], initializer_range=0.02,
             mm_tokens_per_image=256, torch_dtype="bfloat16",
             text_config=dict(hidden_size=2560, intermediate_size=10240, model_type="gemma3_text",
                              num_hidden_layers=34, sliding_window=1024),
             vision_config=dict(hidden_size=1152, image_size=896, intermediate_size=4304,
                                model_type="siglip_vision_model", num_attention_heads=16,
                                num_hidden_layers=27, patch_size=14, vision_use_head=False)),
    ],
    "phi3": [
        dict(architectures=["Phi3ForCausalLM"], attention_bias=False, hidden_size=3072,
             initializer_range=0.02, intermediate_size=8192, max_position_embeddings=4096,
             num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32,
             pad_token_id=32000, tie_word_embeddings=False, torch_dtype="bfloat16",
             vocab_size=32064),
    ],
    "mixtral": [
        dict(architectures=["MixtralForCausalLM"], hidden_size=4096, initializer_range=0.02,
             intermediate_size=14336, max_position_embeddings=32768, num_attention_heads=32,
             num_experts_per_tok=2, num_hidden_layers=32, num_key_value_heads=8,
             num_local_experts=8, tie_word_embeddings=False, torch_dtype="bfloat16",
             vocab_size=32000),
    ],
    "qwen3_moe": [
        dict(architectures=["Qwen3MoeForCausalLM"], attention_bias=False, decoder_sparse_step=1,
             head_dim=128, hidden_size=2048, initializer_range=0.02, intermediate_size=6144,
             max_position_embeddings=40960, max_window_layers=48, mlp_only_layers=[],
             moe_intermediate_size=768, num_attention_heads=32, num_experts=128,
             num_experts_per_tok=8, num_hidden_layers=48, num_key_value_heads=4,
             tie_word_embeddings=False, torch_dtype="bfloat16", vocab_size=151936),
    ],
    "deepseek_v3": [
        dict(architectures=["DeepseekV3ForCausalLM"], attention_bias=False, first_k_dense_replace=3,
             hidden_size=7168, initializer_range=0.02, intermediate_size=18432, kv_lora_rank=512,
             max_position_embeddings=163840, moe_intermediate_size=2048, moe_layer_freq=1, n_group=8,
             n_routed_experts=256, n_shared_experts=1, num_attention_heads=128,
             num_experts_per_tok=8, num_hidden_layers=61, num_key_value_heads=128,
             num_nextn_predict_layers=1, q_lora_rank=1536, qk_nope_head_dim=128,
             qk_rope_head_dim=64, tie_word_embeddings=False, topk_group=4, torch_dtype="bfloat16",
             v_head_dim=128, vocab_size=129280),
    ],
    "bert": [
        dict(architectures=["BertForMaskedLM"], hidden_size=768, initializer_range=0.02,
             intermediate_size=3072, max_position_embeddings=512, num_attention_heads=12,
             num_hidden_layers=12, pad_token_id=0, type_vocab_size=2, vocab_size=30522),
    ],
    "roberta": [
        dict(architectures=["RobertaForMaskedLM"], hidden_size=768, initializer_range=0.02,
             intermediate_size=3072, max_position_embeddings=514, num_attention_heads=12,
             num_hidden_layers=12, pad_token_id=1, type_vocab_size=1, vocab_size=50265),
    ],
    "vit": [
        dict(architectures=["ViTModel"], hidden_size=768, image_size=224, initializer_range=0.02,
             intermediate_size=3072, num_attention_heads=12, num_channels=3, num_hidden_layers=12,
             patch_size=16, qkv_bias=True),
    ],
    "whisper": [
        dict(architectures=["WhisperForConditionalGeneration"], d_model=384,
             decoder_attention_heads=6, decoder_ffn_dim=1536, decoder_layers=4,
             encoder_attention_heads=6, encoder_ffn_dim=1536, encoder_layers=4, init_std=0.02,
             max_source_positions=1500, max_target_positions=448, num_hidden_layers=4,
             num_mel_bins=80, pad_token_id=50257, torch_dtype="float32", vocab_size=51865),
    ],
    "t5": [
        dict(architectures=["T5ForConditionalGeneration"], d_ff=2048, d_kv=64, d_model=512,
             initializer_factor=1.0, num_heads=8, num_layers=6, pad_token_id=0,
             relative_attention_num_buckets=32, vocab_size=32128),
        dict(architectures=["T5ForConditionalGeneration"], d_ff=2816, d_kv=64, d_model=1024,
             feed_forward_proj="gated-gelu", initializer_factor=1.0, num_decoder_layers=24,
             num_heads=16, num_layers=24, pad_token_id=0, relative_attention_num_buckets=32,
             tie_word_embeddings=False, vocab_size=32128),
    ],
    "mamba": [
        dict(architectures=["MambaForCausalLM"], conv_kernel=4, expand=2, hidden_size=768,
             initializer_range=0.1, intermediate_size=1536, num_hidden_layers=24, pad_token_id=0,
             rescale_prenorm_residual=False, state_size=16, time_step_floor=0.0001,
             time_step_init_scheme="random", time_step_max=0.1, time_step_min=0.001,
             time_step_rank=48, time_step_scale=1.0, torch_dtype="float32", use_bias=False,
             use_conv_bias=True, vocab_size=50280),
    ],
}

# Small, and no two axes of one size where the model allows it.
DECODER = dict(hidden_size=84, intermediate_size=136, num_attention_heads=6, num_hidden_layers=3,
               num_key_value_heads=2, vocab_size=211, initializer_range=0.03)
ENCODER = dict(hidden_size=84, intermediate_size=136, num_attention_heads=6, num_hidden_layers=3,
               max_position_embeddings=57, type_vocab_size=5, vocab_size=211, initializer_range=0.03)
GPT2 = dict(n_embd=84, n_head=6, n_layer=3, n_positions=57, vocab_size=211, initializer_range=0.03)
GPT_NEOX = dict(hidden_size=84, intermediate_size=136, num_attention_heads=6, num_hidden_layers=3,
                max_position_embeddings=57, vocab_size=211)
GPT_NEO = dict(hidden_size=84, num_heads=6, num_layers=3, max_position_embeddings=57, vocab_size=211,
               attention_types=[[["global", "local", "global"], 1]], window_size=8)
QWEN3_MOE = dict(DECODER, head_dim=22, moe_intermediate_size=46, num_experts=5, num_experts_per_tok=2)
DEEPSEEK = dict(DECODER, num_key_value_heads=6, moe_intermediate_size=46, n_routed_experts=8,
                n_shared_experts=2, kv_lora_rank=38, q_lora_rank=52, qk_nope_head_dim=14,
                qk_rope_head_dim=10, v_head_dim=18, n_group=2, topk_group=1, num_experts_per_tok=2,
                first_k_dense_replace=1)
VIT = dict(hidden_size=84, intermediate_size=136, num_attention_heads=6, num_hidden_layers=3,
           image_size=40, patch_size=5, num_channels=2, initializer_range=0.03)
WHISPER = dict(d_model=84, encoder_layers=3, decoder_layers=2, encoder_attention_heads=6,
               decoder_attention_heads=7, encoder_ffn_dim=136, decoder_ffn_dim=148, num_mel_bins=20,
               max_source_positions=62, max_target_positions=45, vocab_size=211, pad_token_id=17,
               init_std=0.03, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3)
T5 = dict(d_model=84, d_kv=22, d_ff=136, num_layers=3, num_heads=6, vocab_size=211,
          relative_attention_num_buckets=14, initializer_factor=1.5)
PICTURES = dict(hidden_size=60, intermediate_size=100, num_attention_heads=6, num_hidden_layers=2,
                image_size=42, patch_size=7, model_type="siglip_vision_model", vision_use_head=False)
MAMBA = dict(hidden_size=84, state_size=11, num_hidden_layers=3, vocab_size=211, conv_kernel=5,
             expand=2, initializer_range=0.07)


HEADS = ["SequenceClassification", "TokenClassification"]


def of(name, base, **more):
    return dict(base, architectures=[name], **more)


SMALL = {
    "gpt2": [of("GPT2LMHeadModel", GPT2), of("GPT2Model", GPT2, n_inner=136),
             of("GPT2LMHeadModel", GPT2, tie_word_embeddings=False),
             of("GPT2ForSequenceClassification", GPT2, id2label={str(i): str(i) for i in range(7)})],
    "gpt_neo": [of("GPTNeoForCausalLM", GPT_NEO, intermediate_size=136),
                of("GPTNeoModel", GPT_NEO, initializer_range=0.05)],
    "gpt_neox": [of("GPTNeoXForCausalLM", GPT_NEOX), of("GPTNeoXModel", GPT_NEOX, attention_bias=False),
                 of("GPTNeoXForCausalLM", GPT_NEOX, tie_word_embeddings=True, initializer_range=0.05)],
    "llama": [of("LlamaForCausalLM", DECODER, head_dim=22, attention_bias=True, mlp_bias=True),
              of("LlamaModel", DECODER, pad_token_id=9),
              of("LlamaForCausalLM", DECODER, tie_word_embeddings=True, pad_token_id=9),
              of("LlamaForSequenceClassification", DECODER, num_labels=7),
              of("LlamaForTokenClassification", DECODER, num_labels=7)],
    "mistral": [of("MistralForCausalLM", DECODER, head_dim=22), of("MistralModel", DECODER)],
    "qwen2": [of("Qwen2ForCausalLM", DECODER), of("Qwen2Model", DECODER),
              of("Qwen2ForCausalLM", DECODER, tie_word_embeddings=True)],
    "qwen3": [of("Qwen3ForCausalLM", DECODER, head_dim=22, attention_bias=True),
              of("Qwen3Model", DECODER, head_dim=22)],
    "gemma": [of("GemmaForCausalLM", DECODER, head_dim=22),
              of("GemmaModel", DECODER, head_dim=22, attention_bias=True, pad_token_id=None)],
    "gemma2": [of("Gemma2ForCausalLM", DECODER, head_dim=22), of("Gemma2Model", DECODER, head_dim=22)],
    "gemma3_text": [of("Gemma3ForCausalLM", DECODER, head_dim=22),
                    of("Gemma3TextModel", DECODER, head_dim=22, attention_bias=True)],
    "gemma3": [of("Gemma3ForConditionalGeneration", {}, text_config=dict(DECODER, head_dim=22),
                  vision_config=PICTURES, initializer_range=0.05, mm_tokens_per_image=4,
                  tie_word_embeddings=False),
               of("Gemma3Model", {}, text_config=dict(DECODER, head_dim=22, num_hidden_layers=1),
                  vision_config=PICTURES, mm_tokens_per_image=4)],
    "phi3": [of("Phi3ForCausalLM", DECODER, pad_token_id=9), of("Phi3Model", DECODER, pad_token_id=None)],
    "mixtral": [of("MixtralForCausalLM", DECODER, head_dim=22, num_local_experts=5),
                of("MixtralModel", DECODER, num_local_experts=5)],
    "qwen3_moe": [of("Qwen3MoeForCausalLM", QWEN3_MOE),
                  of("Qwen3MoeModel", QWEN3_MOE, attention_bias=True, decoder_sparse_step=2,
                     num_hidden_layers=6, mlp_only_layers=[3])],
    "deepseek_v3": [of("DeepseekV3ForCausalLM", DEEPSEEK),
                    of("DeepseekV3Model", DEEPSEEK, q_lora_rank=None, attention_bias=True),
                    of("DeepseekV3ForCausalLM", DEEPSEEK, torch_dtype="bfloat16")],
    "bert": [of("BertForMaskedLM", ENCODER), of("BertModel", ENCODER, pad_token_id=9),
             of("BertForPreTraining", ENCODER), of("BertForPreTraining", ENCODER, tie_word_embeddings=False)],
    "roberta": [of("RobertaForMaskedLM", ENCODER), of("RobertaModel", ENCODER),
                of("RobertaForCausalLM", ENCODER, is_decoder=True, tie_word_embeddings=False)],
    "vit": [of("ViTForImageClassification", VIT, id2label={str(i): str(i) for i in range(7)}),
            of("ViTModel", VIT, pooler_output_size=38, image_size=[40, 60], patch_size=[5, 10]),
            of("ViTModel", VIT, qkv_bias=False, initializer_range=1.5)],
    "whisper": [of("WhisperForConditionalGeneration", WHISPER), of("WhisperModel", WHISPER)],
    "t5": [of("T5ForConditionalGeneration", T5),
           of("T5ForConditionalGeneration", T5, feed_forward_proj="gated-gelu", num_decoder_layers=2,
              tie_word_embeddings=False),
           of("T5Model", T5), of("T5EncoderModel", T5)],
    "mamba": [of("MambaForCausalLM", MAMBA), of("MambaModel", MAMBA, use_bias=True, use_conv_bias=False),
              # Where nothing is said, its own std.
              of("MambaModel", {name: MAMBA[name] for name in MAMBA if name != "initializer_range"}),
              of("MambaForCausalLM", MAMBA, rescale_prenorm_residual=True, time_step_rank=9,
                 time_step_init_scheme="constant", time_step_min=0.002, time_step_max=0.3,
                 time_step_floor=0.02, time_step_scale=0.5, tie_word_embeddings=False)],
}


def configured(config):
    """The class that a config names, and its configuration."""
    settings = {key: value for key, value in config.items() if key != "model_type"}
    made = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(settings)
    return getattr(transformers, config["architectures"][0]), made


def on_disk(model):
    """The tensors that `save_pretrained` writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = {}
        for path in Path(folder).glob("*.safetensors"):
            with safe_open(path, "pt") as opened:
                tensors |= {name: opened.get_tensor(name) for name in opened.keys()}
    return tensors


def on_meta(config):
    """Names, shapes and dtypes of a model that takes no memory, as `save_pretrained` has them."""
    kind, made = configured(config)
    with torch.device("meta"):
        model = kind._from_config(made)
    state = dict(model.state_dict())
    for name in model.all_tied_weights_keys:
        state.pop(name, None)
    return revert_weight_conversion(model, state)


def drawn(config, seed):
    kind, made = configured(config)
    torch.manual_seed(seed)
    return on_disk(kind._from_config(made))


def template(name):
    parts = name.split(".")
    numbers = tuple(int(part) for part in parts if part.isdigit())
    return ".".join("#" if part.isdigit() else part for part in parts), numbers


def ranged(values):
    """Numbers as a pattern has them."""
    values = sorted(values)
    if len(values) == 1:
        return str(values[0])
    if values == list(range(values[0], values[-1] + 1)):
        return "{%d..%d}" % (values[0], values[-1] + 1)
    return "{%s}" % ",".join(map(str, values))


def patterns(tensors):
    """Tensors that differ in numbers alone, as one pattern and the list of them."""
    groups = defaultdict(list)
    for name, tensor in tensors.items():
        text, numbers = template(name)
        groups[text, tuple(tensor.shape), DTYPES[tensor.dtype]].append((numbers, tensor))
    for (text, shape, dtype), found in groups.items():
        axes = [set(values) for values in zip(*(numbers for numbers, _ in found))]
        count = 1
        for axis in axes:
            count *= len(axis)
        assert count == len(found), f"{text}: no product of ranges"
        for axis in axes:
            text = text.replace("#", ranged(axis), 1)
        yield text, list(shape), dtype, [tensor for _, tensor in found]


def statistics(first, second):
    """What tensors are drawn from, by two seeds of them."""
    first = [tensor.double() for tensor in first]
    value = first[0].flatten()[0].item()
    if all((tensor == value).all() for tensor in first):
        return {"value": value}
    if all(torch.equal(a, b.double()) for a, b in zip(first, second)):
        assert all(torch.equal(first[0], tensor) for tensor in first)
        flat = first[0].flatten()
        places = sorted({0, 1, len(flat) - 1} | {i * len(flat) // 13 for i in range(13)})
        return {"at": [[place, flat[place].item()] for place in places]}
    zeros = []
    if first[0].dim() == 2:
        zeros = [row for row in range(len(first[0])) if all((tensor[row] == 0).all() for tensor in first)]
        kept = [row for row in range(len(first[0])) if row not in zeros]
        first = [tensor[kept] for tensor in first]
    joined = torch.cat([tensor.flatten() for tensor in first])
    mean, std = joined.mean().item(), joined.std().item()
    kurtosis = ((joined - mean) ** 4).mean().item() / std**4
    for tensor in first:
        spread = ((kurtosis - 1) / 4 / tensor.numel()) ** 0.5
        assert abs(tensor.std().item() / std - 1) < 6 * spread, "layers differ"
    found = [f"{mean:.4g}", f"{std:.4g}", f"{kurtosis:.3g}"]
    found = {"drawn": [float(value) for value in found]}
    return found | ({"zero_rows": zeros} if zeros else {})


def table(model_type):
    cases = []
    for config in PUBLISHED[model_type]:
        config = dict(config, model_type=model_type)
        alike = defaultdict(list)
        for text, shape, dtype, _ in patterns(on_meta(config)):
            alike[json.dumps([shape, dtype])].append(text)
        rows = [[names] + json.loads(kind) for kind, names in alike.items()]
        cases.append({"config": config, "tensors": rows})
    for config in SMALL[model_type]:
        config = dict(config, model_type=model_type)
        rows = []
        pairs = zip(patterns(drawn(config, 1)), patterns(drawn(config, 2)), strict=True)
        alike = {}
        for (text, shape, dtype, first), (_, _, _, second) in pairs:
            drawn_from = statistics(first, second)
            kind = json.dumps([shape, dtype, drawn_from])
            if "value" not in drawn_from or kind not in alike:
                alike[kind] = [[], shape, dtype, drawn_from]
                rows.append(alike[kind])
            alike[kind][0].append(text)
        cases.append({"config": config, "tensors": rows})
    return cases


# Classes that fanin lists beside those of `SMALL`, for what they have upon the model.
CLASSES = {
    "gpt2": ["GPT2ForTokenClassification", "GPT2ForQuestionAnswering"],
    "gpt_neo": [f"GPTNeoFor{head}" for head in HEADS + ["QuestionAnswering"]],
    "gpt_neox": [f"GPTNeoXFor{head}" for head in HEADS + ["QuestionAnswering"]],
    "mistral": [f"MistralFor{head}" for head in HEADS],
    "qwen2": [f"Qwen2For{head}" for head in HEADS],
    "qwen3": [f"Qwen3For{head}" for head in HEADS],
    "gemma": [f"GemmaFor{head}" for head in HEADS],
    "gemma2": [f"Gemma2For{head}" for head in HEADS],
    "gemma3_text": ["Gemma3TextForSequenceClassification"],
    "phi3": [f"Phi3For{head}" for head in HEADS],
    "mixtral": [f"MixtralFor{head}" for head in HEADS],
    "qwen3_moe": [f"Qwen3MoeFor{head}" for head in HEADS],
    "deepseek_v3": [f"DeepseekV3For{head}" for head in HEADS],
    "bert": [f"BertFor{head}" for head in HEADS + ["NextSentencePrediction", "MultipleChoice", "QuestionAnswering"]]
    + ["BertLMHeadModel"],
    "roberta": [f"RobertaFor{head}" for head in HEADS + ["MultipleChoice", "QuestionAnswering"]],
}


def heads(model_type):
    """What classes have beside the tensors of the bare model, and which of these they have not."""
    config = dict(SMALL[model_type][0], model_type=model_type, num_labels=7)
    config.pop("id2label", None)
    kind, made = configured(config)
    base = {"gemma3_text": "Gemma3TextModel"}.get(model_type)
    base = base or transformers.models.auto.modeling_auto.MODEL_MAPPING_NAMES[model_type]
    model = set(on_meta(dict(config, architectures=[base])))
    for name in CLASSES.get(model_type, []):
        first, second = (drawn(dict(config, architectures=[name]), seed) for seed in (1, 2))
        prefix = getattr(transformers, name).base_model_prefix + "."
        own = {name: tensor for name, tensor in first.items() if name.removeprefix(prefix) not in model}
        without = sorted(model - {name.removeprefix(prefix) for name in first})
        rows = [
            [[text], shape, dtype, statistics(tensors, [second[text]])]
            for text, shape, dtype, tensors in patterns(own)
        ]
        yield {
            "config": dict(config, architectures=[name]), "model": base, "prefix": prefix,
            "without": without, "tensors": rows,
        }


def write_tables():
    TABLES.mkdir(exist_ok=True)
    for model_type in PUBLISHED:
        cases = []
        for case in table(model_type):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in case["tensors"])
            config = json.dumps(case["config"], separators=(",", ":"))
            cases.append(f'{{"config":{config},\n"tensors":[\n{rows}]}}')
        classes = [json.dumps(case, separators=(",", ":")) for case in heads(model_type)]
        text = f'{{"transformers":"{transformers.__version__}",\n"cases":[\n' + ",\n".join(cases)
        text += '],\n"classes":[' + ",\n".join(classes) + "]}\n"
        (TABLES / f"{model_type}.json").write_text(text)
        print(model_type, len(text), flush=True)


# Where a model would take many gigabytes: fewer of what there are many of, each of its size.
SHRUNK = {
    "gpt2": dict(n_layer=12),
    "gpt_neo": dict(num_layers=4, attention_types=[[["global", "local"], 2]]),
    "llama": dict(num_hidden_layers=2),
    "mistral": dict(num_hidden_layers=2),
    "gemma": dict(num_hidden_layers=2),
    "gemma2": dict(num_hidden_layers=2),
    "gemma3_text": dict(num_hidden_layers=7),
    "gemma3": dict(text_config=dict(PUBLISHED["gemma3"][0]["text_config"], num_hidden_layers=1)),
    "phi3": dict(num_hidden_layers=3),
    "mixtral": dict(num_hidden_layers=1, num_local_experts=4),
    "qwen3_moe": dict(num_hidden_layers=2, num_experts=64),
    "deepseek_v3": dict(num_hidden_layers=2, first_k_dense_replace=1, n_routed_experts=8, vocab_size=32000),
    "t5": dict(num_layers=6, num_decoder_layers=6),
}


def loaded(kind, folder):
    """A model, and how many keys were missing, unexpected and of another shape."""
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys")
    return model, [info[key] for key in keys]


def load(fanin, config, folder):
    """Has fanin write a config's model into a folder, and loads it from there."""
    folder = Path(folder)
    (folder / "config.json").write_text(json.dumps(config))
    out = folder / "model.safetensors"
    subprocess.run([fanin, "init", str(folder), "--out", str(out), "--json"], check=True, capture_output=True)
    kind = getattr(transformers, config["architectures"][0])
    with safe_open(out, "pt") as opened:
        names = list(opened.keys())
        count = sum(torch.Size(opened.get_slice(name).get_shape()).numel() for name in names)
    return kind, out, len(names), count


def load_all(fanin):
    print("| model_type | class | parameters | tensors | by its class: missing, unexpected, other shape | by AutoModel |")
    print("|---|---|---|---|---|---|")
    for model_type in PUBLISHED:
        for config in PUBLISHED[model_type]:
            config = dict(config, **SHRUNK.get(model_type, {}), model_type=model_type)
            with tempfile.TemporaryDirectory() as folder:
                kind, _, tensors, count = load(fanin, config, folder)
                own = loaded(kind, folder)[1]
                auto = loaded(transformers.AutoModel, folder)[1]
                own = ", ".join(str(len(keys)) for keys in own)
                auto = ", ".join(" ".join(map(str, sorted(keys))) or "0" for keys in auto)
                print(f"| {model_type} | {kind.__name__} | {count:,} | {tensors} | {own} | {auto} |", flush=True)
    same = 0
    for model_type in PUBLISHED:
        for config in SMALL[model_type]:
            config = dict(config, model_type=model_type)
            with tempfile.TemporaryDirectory() as folder:
                kind, out, tensors, _ = load(fanin, config, folder)
                model, keys = loaded(kind, folder)
                assert not any(keys), (config, keys)
                again = on_disk(model)
                with safe_open(out, "pt") as opened:
                    assert set(opened.keys()) == set(again), config
                    for name in opened.keys():
                        # transformers divides it by a root whenever it loads one, its own files' too.
                        if name.endswith("out_proj.weight") and "rescale_prenorm_residual" in config:
                            continue
                        assert torch.equal(opened.get_tensor(name), again[name]), (config, name)
                same += 1
    print(f"\n{same} small models: every key matched, and every tensor saved again as fanin wrote it")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", metavar="FANIN")
    parser.add_argument("families", nargs="*")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in set(PUBLISHED) - set(arguments.families or PUBLISHED):
        del PUBLISHED[name]
    if arguments.load:
        load_all(arguments.load)
    else:
        write_tables()


if __name__ == "__main__":
    main()
