use super::Family;
use super::blocks::{Encoder, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "roberta",
    description: "RoBERTa",
    architectures: &[
        "RobertaForMaskedLM",
        "RobertaModel",
        "RobertaForCausalLM",
        "RobertaForSequenceClassification",
        "RobertaForMultipleChoice",
        "RobertaForTokenClassification",
        "RobertaForQuestionAnswering",
    ],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "Roberta");
    let encoder = Encoder::read(config, 1)?;
    let hidden = encoder.hidden;
    let prefix = if head == "Model" { "" } else { "roberta." };
    let has_pooler = ["Model", "ForMultipleChoice"].contains(&head);
    let mut tensors = encoder.model(config, prefix, has_pooler, true)?;
    match head {
        "ForMaskedLM" | "ForCausalLM" => tensors.within("lm_head.", |head| {
            head.zeros("bias", encoder.vocabulary)?;
            head.linear("dense", hidden, hidden, true)?;
            head.layer_norm("layer_norm", hidden)?;
            match encoder.tied {
                true => Ok(()),
                false => head.linear("decoder", encoder.vocabulary, hidden, true),
            }
        })?,
        "ForSequenceClassification" => tensors.within("classifier.", |head| {
            head.linear("dense", hidden, hidden, true)?;
            head.linear("out_proj", config.labels()?, hidden, true)
        })?,
        _ => encoder.head(&mut tensors, config, head)?,
    }
    Ok(tensors)
}
