use super::super::Fused;
use super::Family;
use super::blocks::{head, initializer_range_or};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;
use crate::init::{Geometry, Init};
use crate::random::Formula;

pub(super) static FAMILY: Family = Family {
    model_type: "mamba",
    description: "Mamba",
    architectures: &["MambaForCausalLM", "MambaModel"],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let hidden = config.size("hidden_size")?;
    let vocabulary = config.size("vocab_size")?;
    let layers = config.size("num_hidden_layers")?;
    let states = config.size("state_size")?;
    let kernel = config.size("conv_kernel")?;
    // `intermediate_size` is made of these two, whatever the file says of it.
    let inner = config.size("expand")? * hidden;
    let rank = match config.any("time_step_rank")?.and_then(|value| value.as_str()) {
        Some("auto") => hidden.div_ceil(16),
        _ => config.size_or("time_step_rank", hidden.div_ceil(16))?,
    };
    let bias = config.flag("use_bias", false)?;
    let conv_bias = config.flag("use_conv_bias", true)?;
    let bound = (rank as f64).powf(-0.5) * config.number("time_step_scale", 1.0)?;
    let step = match config.text("time_step_init_scheme")?.unwrap_or("random") {
        "random" => Init::uniform(-bound, bound),
        "constant" => Init::constant(bound),
        other => {
            let needed = "random or constant";
            return Err(config.wrong("time_step_init_scheme", &other.into(), needed));
        }
    };
    let steps = Formula::DtBias {
        min: config.number("time_step_min", 0.001)?,
        max: config.number("time_step_max", 0.1)?,
        floor: config.number("time_step_floor", 1e-4)?,
    };
    let depth = config.flag("rescale_prenorm_residual", false)?.then_some(layers);
    let head = head(class, "Mamba");
    let mut tensors =
        Tensors::new(config.dtype()?, initializer_range_or(config, "initializer_range", 0.1)?);
    let prefix = if head == "Model" { "" } else { "backbone." };
    tensors.within(prefix, |model| {
        // `pad_token_id` is no row of padding here.
        model.embedding("embeddings", vocabulary, hidden)?;
        model.layers("layers", 0..layers, |layer| {
            layer.rms_norm("norm", hidden, 1.0)?;
            layer.within("mixer.", |mixer| {
                mixer.add("A_log", &[inner, states], Init::Table(Formula::LogArange))?;
                mixer.add("D", &[inner], Init::ones())?;
                let groups = Geometry { groups: inner, ..Geometry::default() };
                let (weight, dims) = ("conv1d.weight", [inner, 1, kernel]);
                mixer.add_as(weight, &dims, Init::torch_default(), None, groups)?;
                if conv_bias {
                    mixer.zeros("conv1d.bias", inner)?;
                }
                mixer.linear("in_proj", 2 * inner, hidden, bias)?;
                mixer.fused(Fused::equal(2));
                mixer.linear("x_proj", rank + 2 * states, inner, false)?;
                mixer.add("dt_proj.weight", &[inner, rank], step)?;
                mixer.add("dt_proj.bias", &[inner], Init::Table(steps))?;
                let (weight, dims) = ("out_proj.weight", [hidden, inner]);
                mixer.add_as(weight, &dims, Init::torch_default(), depth, Geometry::default())?;
                if bias { mixer.zeros("out_proj.bias", hidden) } else { Ok(()) }
            })
        })?;
        model.rms_norm("norm_f", hidden, 1.0)
    })?;
    if head == "ForCausalLM" && !config.flag("tie_word_embeddings", true)? {
        tensors.linear("lm_head", vocabulary, hidden, false)?;
    }
    Ok(tensors)
}
