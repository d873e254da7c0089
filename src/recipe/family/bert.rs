use super::Family;
use super::blocks::{Encoder, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "bert",
    description: "BERT",
    architectures: &[
        "BertForMaskedLM",
        "BertModel",
        "BertForPreTraining",
        "BertLMHeadModel",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForMultipleChoice",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
    ],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "Bert");
    let encoder = Encoder::read(config, 0)?;
    let hidden = encoder.hidden;
    let prefix = if head == "Model" { "" } else { "bert." };
    let has_no_pooler =
        ["ForMaskedLM", "LMHeadModel", "ForTokenClassification", "ForQuestionAnswering"];
    let mut tensors = encoder.model(config, prefix, !has_no_pooler.contains(&head), false)?;
    if ["ForMaskedLM", "LMHeadModel", "ForPreTraining"].contains(&head) {
        tensors.within("cls.predictions.", |predictions| {
            predictions.zeros("bias", encoder.vocabulary)?;
            predictions.linear("transform.dense", hidden, hidden, true)?;
            predictions.layer_norm("transform.LayerNorm", hidden)?;
            match encoder.tied {
                true => Ok(()),
                false => predictions.linear("decoder", encoder.vocabulary, hidden, true),
            }
        })?;
    }
    match head {
        "ForPreTraining" | "ForNextSentencePrediction" => {
            tensors.linear("cls.seq_relationship", 2, hidden, true)?;
        }
        "ForSequenceClassification" => {
            tensors.linear("classifier", config.labels()?, hidden, true)?;
        }
        _ => encoder.head(&mut tensors, config, head)?,
    }
    Ok(tensors)
}
